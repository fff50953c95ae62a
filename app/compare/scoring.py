"""Score responses line by line, as `tuneshift score` does; the lines are those of `app.compare.lines`."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, cast

from app.compare.lines import parse_score_lines
from app.engines.open import Engines
from app.engines.protocol import Decoding, Request
from app.errors import ConfigurationError, EngineError, InvalidInputError
from app.shift.record import score_record


async def score_lines(
    engines: Engines,
    *,
    base: str,
    tuned: str,
    lines: Iterable[str],
    top_k: int = 20,
    max_tokens: int = 256,
    source: str | Path = "input",
) -> AsyncIterator[dict[str, Any]]:
    """Yield the record of each line in order (`app.shift.record`); both models read the same prompt ids.

    Raises InvalidInputError naming `source`, line and field before anything is scored, NotFoundError for an unknown
    checkpoint, EngineError when a model cannot answer.
    """
    checked = list(parse_score_lines(lines, source=source))
    engine, tokenizer = engines.for_checkpoint(tuned), engines.tokenizer_for(tuned)
    if engines.for_checkpoint(base) is not engine:
        raise ConfigurationError(
            f"{base} and {tuned} run on different engines.", remedy="Serve both with the same engine to compare them."
        )
    template = engines.registry.get(tuned).template
    for line in checked:
        with _located(f"{source}, line {line.number}"):
            prompt_ids = line.prompt_ids or tokenizer.render(line.prompt, template=template)
            response_ids = line.response_ids
            if line.response is not None:
                response_ids = tokenizer.encode(line.response)
            elif not response_ids:
                response_ids = await _generate(engines, tuned, prompt_ids, max_tokens)
            scores = await engine.score(prompt_ids, response_ids, top_k, checkpoint=tuned, reference=base)
        pieces = [(piece.text, piece.bytes) for piece in tokenizer.pieces(response_ids)]
        record = score_record(line.id, prompt_ids, scores, pieces)
        yield record | {"prompt": line.prompt} if line.prompt else record


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Put line and field in front of what a model refuses or fails at."""
    try:
        yield
    except (InvalidInputError, EngineError) as error:
        place = f"{where}: {error.where}" if error.where else where
        raise type(error)(f"{place}: {error.message}", remedy=error.remedy) from error


async def _generate(engines: Engines, tuned: str, prompt_ids: tuple[int, ...], max_tokens: int) -> tuple[int, ...]:
    request = Request(checkpoint=tuned, prompt_ids=prompt_ids, decoding=Decoding(max_tokens=max_tokens))
    stream = engines.for_checkpoint(tuned).stream(request)
    async with aclosing(cast("Any", stream)):
        return tuple([token.id async for token in stream])
