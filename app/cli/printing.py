"""Comparisons on a terminal, and as JSON."""

from typing import Any

from rich.console import Console
from rich.text import Text

from app.shift.classes import ShiftClass
from app.shift.record import summary_dict, token_record
from app.shift.summary import Summary, summarise
from app.tokens.answer import Answer
from models import RunState

# Background and underline together, so that the classes survive a terminal without colours.
_STYLES = {
    ShiftClass.UNSHIFTED: "",
    ShiftClass.MARGINAL: "black on #ffe9a3",
    ShiftClass.SHIFTED: "black on #f4a16b underline",
}


def answer_record(answer: Answer) -> dict[str, Any]:
    """Spell out one column: how it ended, its text, its summary and each scored token as in `tuneshift score`."""
    return {
        "checkpoint": answer.checkpoint,
        "role": answer.role,
        "reference": answer.reference,
        "state": answer.state.value,
        "finish": answer.finish,
        "message": answer.message,
        "text": answer.text,
        "token_ids": list(answer.ids),
        "kl_kind": answer.kl_kind,
        "summary": summary_dict(summarise(answer.scored)),
        "tokens": [
            token_record(index, shift, answer.texts[index], answer.name(shift.id) or b"")
            for index, shift in enumerate(answer.scored)
        ],
    }


def print_answer(console: Console, answer: Answer) -> None:
    """Print one column: a heading, the text with its shifted tokens marked, the counts in words."""
    console.print(Text(f"\n{answer.checkpoint}", style="bold"), Text(f"({answer.role})", style="dim"))
    if answer.state is RunState.FAILED:
        console.print(Text(answer.message, style="red"))
    body = Text()
    for text, shift in zip(answer.texts, answer.shifts, strict=True):
        body.append(text, style=_STYLES[shift.shift_class] if shift else "dim")
    console.print(body, soft_wrap=True)
    if answer.scored:
        console.print(Text(_in_words(summarise(answer.scored), answer), style="dim"))


def _in_words(summary: Summary, answer: Answer) -> str:
    counts = (
        f"{summary.n} tokens: {summary.unshifted} unshifted, {summary.marginal} marginal, {summary.shifted} shifted"
    )
    if summary.mean_kl_tuned_base is None:
        return counts
    sign = "=" if answer.kl_kind == "exact" else "≥"
    return f"{counts}; mean KL(tuned ‖ base) {sign} {summary.mean_kl_tuned_base:.4f} nat"
