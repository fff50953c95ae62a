"""What a vLLM server sends, recorded from 0.32 and cut to what matters."""

import json
import math
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.protocol import Token
from app.engines.vllm.prompt_wire import PromptReader
from app.engines.vllm.wire import (
    MAX_EVENT_BYTES,
    CompletionDecoder,
    EventDecoder,
    WireError,
    error_message,
    served_models,
    view,
)
from app.shift.trace import from_partial


def prompt_views(body, ids, *, start, k, split=None):
    """Read an answer as it would come in pieces of `split` bytes."""
    reader = PromptReader(ids, start=start, k=k)
    for place in range(0, len(body), split or len(body) or 1):
        reader.feed(body[place : place + (split or len(body))])
    return reader.views()


def chunk(ids, logprobs, /, *, finish=None, **over):
    choice = {
        "index": 0,
        "text": "…",
        "logprobs": {"token_logprobs": logprobs, "tokens": [f"token_id:{i}" for i in ids], "top_logprobs": []},
        "finish_reason": finish,
        "stop_reason": None,
        "token_ids": ids,
    }
    return {"id": "cmpl-1", "object": "text_completion", "choices": [choice | over]}


def event(value, *, end="\n\n"):
    return f"data: {json.dumps(value, ensure_ascii=False)}{end}".encode()


STREAM = b"".join(
    [
        event(chunk([198], [-0.25])),
        b": keep-alive\n\n",
        event(chunk([], [])),
        event(chunk([1, 520], [-0.5, -9999.0]), end="\r\n\r\n"),
        event(chunk([2], [-0.125], finish="stop")),
        event({"id": "cmpl-1", "choices": [], "usage": {"completion_tokens": 4}}),
        b"data: [DONE]\n\n",
    ]
)
TOKENS = [
    Token(index=0, id=198, logprob=-0.25),
    Token(index=1, id=1, logprob=-0.5),
    Token(index=2, id=520, logprob=-math.inf),
    Token(index=3, id=2, logprob=-0.125, finish="stop"),
]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_tokens(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    decoder = CompletionDecoder()
    tokens = [t for a, b in pairwise(edges) for t in decoder.feed(STREAM[a:b])]
    decoder.flush()
    assert tokens == TOKENS


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=5),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=5, max_size=5),
    size=st.integers(1, 7),
)
def test_every_line_end_and_every_split_gives_the_same_events(texts, ends, size):
    body = "".join(f"data: {text}{end}:{end}{end}" for text, end in zip(texts, ends, strict=False)).encode() + b"\n"
    decoder = EventDecoder()
    events = [e for i in range(0, len(body), size) for e in decoder.feed(body[i : i + size])]
    assert [e.decode() for e in events] == texts


def test_a_length_limit_marks_the_last_of_several_tokens():
    decoder = CompletionDecoder()
    tokens = decoder.feed(event(chunk([5, 6], [-1.0, -2.0], finish="length")))
    assert [(t.id, t.finish) for t in tokens] == [(5, None), (6, "length")]
    assert decoder.finished


def test_without_token_ids_the_placeholders_are_read():
    body = chunk([7], [-1.0])
    body["choices"][0]["token_ids"] = None
    assert CompletionDecoder().feed(event(body)) == [Token(index=0, id=7, logprob=-1.0)]


@pytest.mark.parametrize(
    ("body", "message", "said"),
    [
        (event({"error": {"message": "EngineCore died", "code": 500}}), "it failed", "EngineCore died"),
        (event({"error": "Unauthorized"}), "it failed", "Unauthorized"),
        (event(chunk([5], [])), "without ids or log-probabilities", ""),
        (event(chunk([5], [-1.0], logprobs=None)), "without ids or log-probabilities", ""),
        (event(chunk([5], [None])), "without ids or log-probabilities", ""),
        (event(chunk([5], [float("nan")])), "not numbers", ""),
        (event(chunk([], [], finish="abort")), r"gave up \(abort\)", ""),
        (event(chunk([5], [-1.0], finish="error")), r"gave up \(error\)", ""),
        (event({"choices": None}), "not a completion", ""),
        (event([1]), "not an object", ""),
        (b"data: <html>\n\n", "not JSON", ""),
        (b"data: " + b"[" * 100_000 + b"\n\n", "not JSON", ""),
        (b"data: " + b"x" * MAX_EVENT_BYTES, "without an end", ""),
        (b"data: \xff\xfe\n\n", "not JSON", ""),
    ],
)
def test_a_broken_stream_is_named(body, message, said):
    with pytest.raises(WireError, match=message) as caught:
        CompletionDecoder().feed(body)
    assert caught.value.said == said


def test_tokens_before_the_error_are_not_lost():
    decoder = CompletionDecoder()
    assert len(decoder.feed(event(chunk([5], [-1.0])))) == 1
    with pytest.raises(WireError):
        decoder.feed(event({"error": {"message": "gone"}}))


@pytest.mark.parametrize("body", [b"", event(chunk([5], [-1.0])), b"data: [DONE]\n\n", STREAM[:400]])
def test_a_stream_that_ends_early_is_named(body):
    decoder = CompletionDecoder()
    decoder.feed(body)
    with pytest.raises(WireError, match="before the end"):
        decoder.flush()


def scoring(*entries):
    return json.dumps({"choices": [{"index": 0, "prompt_logprobs": list(entries)}]}).encode()


def row(**logprobs):
    return {
        name.removeprefix("t"): {"logprob": value, "rank": rank, "decoded_token": "?"}
        for rank, (name, value) in enumerate(logprobs.items(), start=1)
    }


def test_scores_are_read_by_id_and_sorted_by_value():
    # The emitted id comes first whatever its rank, and here it is outside the two best.
    body = scoring(None, row(t4=-1.0), {"9": {"logprob": -3.0, "rank": 11}} | row(t8=-0.5, t7=-1.5))
    (view,) = prompt_views(body, [1, 4, 9], start=2, k=2)
    assert view.top == ((8, -0.5), (7, -1.5))
    assert (view.logprob, view.server_rank, view.rank) == (-3.0, 11, 11)


def test_a_rank_counts_strictly_greater_values_whatever_the_server_says():
    # Two ids share the top; the server calls ours the second.
    (view,) = prompt_views(scoring(None, row(t8=-0.7, t3=-0.7, t5=-2.0)), [1, 3], start=1, k=3)
    assert view.top == ((3, -0.7), (8, -0.7), (5, -2.0))
    assert (view.server_rank, view.rank) == (2, 1)


def test_the_floor_is_no_probability():
    base = row(t8=-0.5, t7=-1.5) | {"9": {"logprob": -9999.0, "rank": 4711}}
    tuned = row(t9=-0.1, t8=-3.0)
    (under_base,) = prompt_views(scoring(None, base), [1, 9], start=1, k=3)
    (under_tuned,) = prompt_views(scoring(None, tuned), [1, 9], start=1, k=3)
    assert under_base.logprob == -math.inf
    assert under_base.top == ((8, -0.5), (7, -1.5))
    shift = from_partial(9, under_base, under_tuned, keep=2, border=1e-3)
    assert (shift.base_logprob, shift.base_rank, shift.kl_tuned_base) == (None, 4711, None)
    assert 0 < shift.kl_base_tuned < math.inf


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (scoring(None, row(t4=-1.0)), "2 of 3"),
        (scoring(None, row(t4=-1.0), row(t5=-1.0)), "without the log-probabilities"),
        (scoring(None, row(t4=-1.0), None), "without the log-probabilities"),
        (scoring(None, row(t4=-1.0), {"9": {"logprob": None, "rank": 1}}), "without the log-probabilities"),
        (scoring(None, row(t4=-1.0), {"9": {"logprob": float("nan"), "rank": 1}}), "not numbers"),
        (json.dumps({"choices": [{"prompt_logprobs": None}]}).encode(), "without the log-probabilities"),
        (b'{"choices": []}', "without the log-probabilities"),
        (b"{}", "without the log-probabilities"),
        (b"<html>", "not JSON"),
    ],
)
@pytest.mark.parametrize("split", [None, 1, 7])
def test_a_scoring_answer_that_lacks_something_is_refused(body, message, split):
    with pytest.raises(WireError, match=message):
        prompt_views(body, [1, 4, 9], start=2, k=3, split=split)


def long_answer(length, k):
    """An answer whose names of ids hold everything that could be taken for its structure."""
    names = ['"prompt_logprobs":[', "}]", "\\", "é", "🙂", "\x00"]
    entries = [None]
    for position in range(1, length):
        entry = {str(position): {"logprob": -position / 7, "rank": position, "decoded_token": "x"}}
        others = {str(1000 + n): {"logprob": -n / 3, "rank": n + 1, "decoded_token": names[n % 6]} for n in range(k)}
        entries.append(entry | others)
    choice = {"index": 0, "text": '"prompt_logprobs":[1]', "prompt_logprobs": entries, "prompt_token_ids": [0, 1]}
    return json.dumps({"id": "x", "choices": [choice], "usage": {"total": 3}}, ensure_ascii=False).encode()


@pytest.mark.parametrize("split", [1, 3, 1000, 65_536])
def test_an_answer_read_in_pieces_equals_the_answer_read_at_once(split):
    body, ids = long_answer(40, 6), list(range(40))
    whole = json.loads(body)["choices"][0]["prompt_logprobs"]
    expected = tuple(view(whole[position], position, 5) for position in range(7, 40))
    assert prompt_views(body, ids, start=7, k=5, split=split) == expected


def test_a_long_answer_is_never_held():
    body, ids = long_answer(600, 100), list(range(600))
    assert len(body) > 3_000_000
    reader = PromptReader(ids, start=590, k=100)
    pieces = [body[place : place + 65_536] for place in range(0, len(body), 65_536)]
    tracemalloc.start()
    for piece in pieces:
        reader.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(reader.views()) == 10
    assert peak < 700_000


@pytest.mark.parametrize("filler", [b" ", b"[", b'{"1":', b'"a'])
@pytest.mark.parametrize("head", [b"", b'{"choices":[{"prompt_logprobs":[null,'])
def test_an_answer_without_end_is_given_up(head, filler):
    reader = PromptReader([1, 2], start=1, k=2)
    reader.feed(head)

    def feed_on():
        for _ in range(100):
            reader.feed(filler * 10_000)

    with pytest.raises(WireError, match=r"far more|without the log"):
        feed_on()


def test_models_are_read_with_their_parents():
    rows = [{"id": "base", "parent": None, "max_model_len": 2048}, {"id": "lft", "parent": "base"}]
    models = served_models(json.dumps({"data": rows}).encode())
    assert (models["base"].max_model_len, models["lft"].parent) == (2048, "base")
    for other in (b"[]", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{}]}', b"nginx"):
        with pytest.raises(WireError):
            served_models(other)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no", "code": 400}}', "no"),
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b'{"object": "error", "message": "flat"}', "flat"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": []}]}', ""),
        (b"<html>502 Bad Gateway</html>", ""),
        (b"", ""),
        (json.dumps({"error": {"message": "x" * 1000}}).encode(), "x" * 300),
    ],
)
def test_the_servers_own_words_are_found_in_every_shape(body, said):
    assert error_message(body) == said
