"""Print the shift table of the demo study as Markdown: `python -m tests.bench.demo_table`."""

from collections.abc import Iterable

from sqlmodel import Session, col, select

from app.db import connect, reading
from app.settings import Settings
from app.shift.packing import unpack
from app.shift.summary import Part, first_count, summarise
from app.shift.trace import TokenShift
from models import Arm, ItemResponse, Response, Study, Trace

HEADER = """\
| checkpoint | tokens | unshifted | marginal | shifted | mean KL(tuned ‖ base) | mean KL(base ‖ tuned) |
|---|---|---|---|---|---|---|"""


def rows(session: Session, slug: str) -> Iterable[str]:
    """Yield one line per arm and stretch; KL in nats per token, shares in percent of its tokens."""
    study = session.exec(select(Study).where(Study.slug == slug)).one()
    for arm in session.exec(select(Arm).where(Arm.study_id == study.id).order_by(col(Arm.name))):
        query = (
            select(Trace)
            .join(Response, col(Response.id) == Trace.response_id)
            .join(ItemResponse, col(ItemResponse.response_id) == Response.id)
            .where(ItemResponse.arm_id == arm.id)
        )
        responses = [unpack(trace.tokens) for trace in session.exec(query)]
        first = [token for tokens in responses for token in tokens[: first_count(len(tokens))]]
        last = [token for tokens in responses for token in tokens[first_count(len(tokens)) :]]
        yield line(arm.name, first + last)
        yield line(f"{arm.name}, first 5 %", first)
        yield line(f"{arm.name}, last 95 %", last)


def line(name: str, tokens: list[TokenShift]) -> str:
    """Format one line."""
    part: Part = summarise(tokens)
    shares = (f"{100 * count / part.n:.1f} %" for count in (part.unshifted, part.marginal, part.shifted))
    means = (f"{mean:.3f}" for mean in (part.mean_kl_tuned_base, part.mean_kl_base_tuned) if mean is not None)
    return f"| {name} | {part.n} | {' | '.join(shares)} | {' | '.join(means)} |"


def main() -> None:
    print(HEADER)
    with reading(connect(Settings().resolved_database_url)) as session:
        print("\n".join(rows(session, "demo")))


if __name__ == "__main__":
    main()
