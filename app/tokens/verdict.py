"""What became of a branch, in words: heals, diverges or partly, with the numbers that say so."""

from dataclasses import dataclass

from app.shift.branching import Agreement, Branching, Continuation, Verdict, compare
from models import Response

_HEADLINES = {
    Verdict.HEALS: "heals",
    Verdict.PARTLY: "partly heals",
    Verdict.DIVERGES: "diverges",
    Verdict.UNKNOWN: "nothing to compare",
}


@dataclass(frozen=True, slots=True)
class VerdictView:
    """One line about a branch: `verdict` names its mark, `headline` says it, `detail` gives the numbers."""

    verdict: str
    headline: str
    detail: str


def verdict_view(original: Continuation, branch: Continuation, *, index: int, window: int) -> VerdictView:
    """Judge a branch forked at token `index` (0-based) over the next `window` tokens and say it."""
    found = compare(original, branch, window=window)
    return VerdictView(found.verdict.value, _HEADLINES[found.verdict], _detail(found, index))


def has_ended(response: Response) -> bool:
    """Tell whether a response ended by itself; one that was given did when its last token adds no text."""
    if response.finish != "given":
        return response.finish == "stop"
    lengths: list[int] = response.run.get("text_lengths", [])
    return bool(lengths) and lengths[-1] == 0


def _detail(found: Branching, index: int) -> str:
    if found.agreement is None:
        return "one of the two answers ends at the fork"
    agreed = f"{_share(found.agreement)} agreement over the {_tokens(found.agreement)}"
    if found.rejoin is None:
        return f"{agreed}; it never takes up the original again"
    # Positions after the fork token, as the page counts tokens: from 1.
    here, there = index + found.rejoin.branch + 2, index + found.rejoin.original + 2
    where = f"token {here}" if here == there else f"token {here}, the original's {there},"
    after = "" if found.after is None else f", and agrees with it {_share(found.after)} from there"
    return f"{agreed}; from {where} on it says what the original says{after}"


def _share(agreement: Agreement) -> str:
    # Rounded down, so that 100 % means every token.
    return f"{int(100 * agreement.share)} %"


def _tokens(agreement: Agreement) -> str:
    if agreement.original == agreement.branch:
        return "next token" if agreement.branch == 1 else f"next {agreement.branch} tokens"
    return f"next {agreement.branch} tokens, {agreement.original} of the original"
