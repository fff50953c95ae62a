"""How fast Find answers over 10,000 responses: `python -m tests.bench.bench_find [responses]`. Prints JSON lines."""

import base64
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner
from sqlalchemy import insert

from app import migrate
from app.db import connect, writing
from app.main import create_app
from app.settings import Settings
from app.shift.aggregate import aggregate
from app.shift.lexicon import Category, shipped
from app.shift.packing import pack
from app.shift.token_types import pack_types
from app.shift.trace import TokenShift
from models import Arm, BasePrompt, Item, ItemResponse, Response, Role, Study, Trace, TraceAggregate, User
from tests.scripted_engine import scripted_engines

ARMS = ("base", "lft", "sft")
TOKENS = 200
VARIANTS = 400
BAR_MS = 200
BLANK = TokenShift(0, 1, -1.0, 1, -0.5, 0.1, 0.2, 0, False, 1.0, 0.5, ((1, -0.5),), ((1, -0.4),))
SEARCHES = {
    "default": {},
    "filtered": {"by": ["late_shift_share", "content_shifted"], "min": ["50", "3"], "max": ["", ""], "sort": "n"},
    "signed": {"sort": "peak_logprob_difference", "order": "far"},
    "one arm": {"arm": "sft", "sort": "last95_kl_tuned_base"},
    "text": {"q": "word77 "},
}


def variants():
    """Build some responses as numbers: text, ids, aggregate and packed types; they shift more from one to the next."""
    generator = np.random.default_rng(3)
    kinds = list(Category)
    for at in range(VARIANTS):
        ids = generator.zipf(1.3, TOKENS) % 49_000
        ranks = np.maximum(1, generator.lognormal(at / VARIANTS, 1.2, TOKENS)).astype(int)
        kl, base = generator.exponential(0.3, TOKENS), -generator.exponential(1.0, TOKENS)
        tokens = [
            replace(BLANK, id=int(i), base_rank=int(r), kl_tuned_base=float(k), base_logprob=float(b))
            for i, r, k, b in zip(ids, ranks, kl, base, strict=True)
        ]
        categories = [kinds[int(i) % 4] for i in ids]
        text = " ".join(f"word{i % 1000}" for i in ids)
        yield text, ids.tolist(), asdict(aggregate(tokens, categories)), pack_types(tokens, categories)


def fill(session, responses):
    """Add a study whose rows have the sizes of real ones: texts, ids, packed traces, aggregates, token types."""
    user = User(email="bench@example.org", name="Bench", role=Role.OWNER)
    session.add(user)
    session.flush()
    study = Study(slug="bench", name="Bench", seed="s", created_by=user.id)
    session.add(study)
    session.flush()
    arms = [Arm(study_id=study.id, name=name, checkpoint=name, decoding={}) for name in ARMS]
    items = [Item(study_id=study.id, position=at, prompt=f"Prompt {at}") for at in range(1, 2 + responses // len(ARMS))]
    session.add_all([*arms, *items])
    session.flush()
    made = list(variants())
    # As large as a trace of 200 tokens with ten ids each: nothing here ever reads it.
    packed = pack([BLANK] * TOKENS) + b"t" * 30_000
    for start in range(0, responses, 500):
        rows = {table: [] for table in (Response, Trace, ItemResponse, TraceAggregate)}
        for at in range(start, min(start + 500, responses)):
            add_row(rows, at, items[at // len(ARMS)], arms[at % len(ARMS)], made[at % VARIANTS], packed)
        for table, values in rows.items():
            session.execute(insert(table), values)
    return user, study


def add_row(rows, at, item, arm, made, packed):
    """Add what belongs to one response to the lists of rows."""
    text, ids, counted, types = made
    response = {
        "id": f"r{at:015d}",
        "checkpoint": arm.checkpoint,
        "prompt": item.prompt,
        "prompt_ids": list(range(40)),
        "text": text,
        "text_sha256": "",
        "token_ids": ids,
        "finish": "stop",
        "run": {"engine": "bench", "text_lengths": [7] * TOKENS},
    }
    # No two responses are equal, as in a real study.
    own = {name: value + at * 1e-9 if isinstance(value, float) else value for name, value in counted.items()}
    key = {"response_id": response["id"], "checkpoint": arm.checkpoint, "base_prompt": BasePrompt.SAME_IDS}
    trace = {
        "id": f"t{at:015d}",
        "reference": "base",
        "kl_kind": "exact",
        "dtype": "float32",
        "border_width": 0.0,
        "tokens": packed,
        **{name: own[name] for name in ("n", "unshifted", "marginal", "shifted")},
    }
    rows[Response].append(Response(**response).model_dump())
    rows[Trace].append(Trace(**key, **trace).model_dump())
    rows[ItemResponse].append({"item_id": item.id, "arm_id": arm.id, "response_id": response["id"]})
    summed = {"trace_id": trace["id"], "prompt_sha256": item.prompt, "token_types": types}
    rows[TraceAggregate].append({**key, **summed, "lexicon_sha256": shipped().sha256, **own})


def timed(function, *, repeats=9):
    """Time some runs after one to warm up: by the clock, and of the processor, which other work does not slow."""
    function()
    clock, processor = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        function()
        clock.append((time.perf_counter() - started) * 1e3)
        processor.append((time.process_time() - used) * 1e3)
    return {
        "fastest_ms": round(min(clock), 1),
        "median_ms": round(statistics.median(clock), 1),
        "processor_ms": round(statistics.median(processor), 1),
    }


def main(responses):
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), public_url="http://testserver")
        database = connect(settings.resolved_database_url)
        migrate.upgrade(database)
        with writing(database) as session:
            user, study = fill(session, responses)
        app = create_app(settings, engines=scripted_engines(Path(folder) / "tokenizer"))
        with TestClient(app, cookies={"tuneshift_session": cookie_for(app, user)}) as client:
            for name, words in SEARCHES.items():
                show(f"page: {name}", responses, client, "/traces", {"source": f"study:{study.id}", **words})
            for path in ("/traces/types", "/traces/table"):
                show(f"page: {path}", responses, client, path, {"source": f"study:{study.id}", "arm": "sft"})
        database.dispose()


def show(name, responses, client, path, words):
    """Time a whole page, from the request to the last byte, and print it."""
    url = f"{path}?{urlencode(words, doseq=True)}"

    def ask():
        answer = client.get(url)
        assert answer.status_code == 200, answer.text[:500]

    figure = {"bench": name, "responses": responses, **timed(ask)}
    print(json.dumps(figure | ({"bar_ms": BAR_MS} if path == "/traces" else {})), flush=True)


def cookie_for(app, user):
    """Sign a session as the app would."""
    session = {"uid": user.id, "version": user.session_version}
    return TimestampSigner(app.state.secret).sign(base64.b64encode(json.dumps(session).encode())).decode()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
