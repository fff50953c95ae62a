"""A packed trace is small and comes back bit for bit."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.packing import pack, unpack, unpack_names
from app.shift.trace import TokenShift

doubles = st.floats(allow_nan=False, allow_infinity=False)
singles = st.floats(allow_nan=False, width=32)
numbers = doubles | singles
maybe = st.none() | numbers
ids = st.integers(0, 2**31)
tops = st.lists(st.tuples(ids, numbers), max_size=5).map(tuple)
shifts = st.builds(
    TokenShift,
    id=ids,
    base_rank=st.integers(1, 300_000),
    base_logprob=maybe,
    tuned_rank=st.integers(1, 300_000),
    tuned_logprob=numbers,
    kl_tuned_base=maybe,
    kl_base_tuned=maybe,
    ties=st.integers(0, 70_000),
    near_border=st.booleans(),
    base_entropy=maybe,
    tuned_entropy=maybe,
    top_base=tops,
    top_tuned=tops,
)


@given(st.lists(shifts, max_size=8))
def test_a_trace_comes_back_bit_for_bit(tokens: list[TokenShift]) -> None:
    assert repr(unpack(pack(tokens))) == repr(tuple(tokens))


@given(st.dictionaries(ids, st.binary(max_size=6), max_size=8))
def test_names_travel_with_the_trace(names: dict[int, bytes]) -> None:
    packed = pack([_typical(1)], names)
    assert unpack_names(packed) == names
    assert unpack(packed) == (_typical(1),)


def _single(value: float) -> float:
    number: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return number


def _typical(k: int) -> TokenShift:
    draw = random.Random(k)
    top = tuple((draw.randrange(49_152), _single(-draw.expovariate(0.2))) for _ in range(20))
    return TokenShift(
        draw.randrange(49_152), 1, _single(-0.1), 1, _single(-0.2), draw.random(), draw.random(), 0,
        near_border=False, base_entropy=draw.random(), tuned_entropy=draw.random(), top_base=top, top_tuned=top[::-1],
    )  # fmt: skip


def test_300_tokens_with_20_alternatives_each_stay_under_100_kilobytes() -> None:
    # 300 x 2 x 20 random (id, float32) pairs hold 300 * 40 * (2 + 4) = 72,000 bytes before compression.
    assert len(pack([_typical(k) for k in range(300)])) < 100_000


def test_an_unknown_version_is_refused_by_number() -> None:
    with pytest.raises(ValueError, match="starts with version 1, not 63"):
        unpack(b"c" + pack([])[1:])


@pytest.mark.parametrize("damaged", [b"", b"\x01", pack([])[:-3]])
def test_damaged_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="packed trace"):
        unpack(damaged)
