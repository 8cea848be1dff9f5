"""Seeded fills: the same bytes everywhere, and what each fill is for."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from convsuite.case import DTYPES, FILLS, FLOATS, Origin, Pass
from convsuite.dtypes import round_to
from convsuite.entry import ArrayEntry, ChannelsEntry, ExpectEntry, KernelEntry
from convsuite.formats import FORMATS, suits
from convsuite.operands import fill
from convsuite.operations import conv, max_pool
from convsuite.operations.common import Common
from convsuite.operations.conv import ConvCase, ConvEntry
from convsuite.operations.max_pool import MaxPoolCase

GRADIENTS = ("forward", "grad_input", "grad_weight", "grad_bias")


def case(**keys: Any) -> ConvCase:
    """A float32 case of batch 2, channels 3 and 4, 9 × 8 by 3 × 2, with a bias and all gradients it can have."""
    passes = ("forward",) if keys.get("dtype") in ("int8", "int32") else GRADIENTS
    channels = ChannelsEntry(in_=3, out=4)
    due = {"input": [9, 8], "kernel": [3, 2], "batch": 2, "channels": channels, "bias": True, "passes": passes}
    return conv.resolve(ConvEntry(name="case", **(due | keys)), Common(id="a/b/c", origin=Origin(file="f", line=1)))


def digest(c: ConvCase) -> str:
    """Of all operands' bytes, little-endian, with their dtypes and shapes."""
    h = hashlib.blake2b(digest_size=8)
    for a in fill(c):
        h.update(f"{a.dtype.name}{a.shape}".encode())
        h.update(a.astype(a.dtype.newbyteorder("<")).tobytes())
    return h.hexdigest()


# The same on every machine, for ever: a change here changes every user's cases, and belongs in the change log.
PINNED = {
    "integers/float64": "f2e1a12ac535dcac",
    "integers/float32": "bc0b1fb5d70f52b2",
    "integers/float16": "1daea8360146d422",
    "integers/bfloat16": "bc0b1fb5d70f52b2",
    "integers/int32": "fa7fde74c7edf0d4",
    "integers/int8": "642bb9f5d23ab77f",
    "normal/float64": "ecdb8ec97483bb8d",
    "normal/float32": "63b93f09ca952490",
    "normal/float16": "cde721bd69334a79",
    "normal/bfloat16": "4a3b2090d067d1c5",
    "wide/float64": "8a909d5a0cb05ebe",
    "wide/float32": "052a501f8c4f06bd",
    "wide/float16": "9b9f87325654b5e0",
    "wide/bfloat16": "be55c2ad7086ebef",
    "cancelling/float64": "c321e07bf4c4d749",
    "cancelling/float32": "3a473fe8e97b571f",
    "cancelling/float16": "f871640e13748406",
    "cancelling/bfloat16": "6dc9a8f4962d9d26",
    "impulse/float64": "9844809d029a565a",
    "impulse/float32": "cfe6188b9f7ee5a6",
    "impulse/float16": "7d2e7649c58f6890",
    "impulse/bfloat16": "cfe6188b9f7ee5a6",
    "impulse/int32": "8c706fcb5d7ee910",
    "impulse/int8": "9f7a3a389d44eab1",
    "ramp/float64": "13071b61e52f5518",
    "ramp/float32": "922b9c703df3a448",
    "ramp/float16": "c66d61fc1325de01",
    "ramp/bfloat16": "922b9c703df3a448",
    "ramp/int32": "dc93a8738a06263c",
    "ramp/int8": "642bb9f5d23ab77f",
    "special/float64": "1590ff7fa606ea5f",
    "special/float32": "573ca073c009157c",
    "special/float16": "f5074c6d156bbeb3",
    "special/bfloat16": "ed9cc3e79691d7a3",
}


def test_every_fill_and_dtype_is_pinned() -> None:
    got = {f"{f}/{d}": digest(case(fill=f, dtype=d)) for f in FILLS for d in DTYPES if suits(f, d)}
    assert got == PINNED


def test_integers_suit_integers_only() -> None:
    assert {f for f in FILLS if suits(f, "int8")} == {"integers", "ramp", "impulse"}
    assert all(suits(f, d) for f in FILLS for d in FLOATS)


def test_seed_role_and_shape_each_have_a_stream_of_their_own() -> None:
    again, other = fill(case(fill="normal")), fill(case(fill="normal", seed=1))
    assert all((a == b).all() for a, b in zip(fill(case(fill="normal")), again, strict=True))
    assert all((a != b).any() for a, b in zip(again, other, strict=True))
    square = case(fill="normal", input=[4, 4], kernel=[4, 4], channels=2, batch=2)
    x, w, *_ = fill(square)
    assert x.shape == w.shape
    assert (x != w).any()
    longer = fill(case(fill="normal", input=[9, 9]))[0]
    assert (longer.ravel()[:8] != again[0].ravel()[:8]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FILLS)
def test_operands_are_rounded_and_contiguous(dtype: str, name: str) -> None:
    if not suits(name, dtype):
        return
    c = case(dtype=dtype, fill=name)
    for operand, array in zip(c.operands, fill(c), strict=True):
        assert array.shape == operand.shape
        assert array.dtype == FORMATS[dtype].carrier
        assert array.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(array, round_to(array.astype(np.float64), dtype))
        assert name == "special" or (np.abs(array.astype(np.float64)) <= FORMATS[dtype].largest).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_are_whole_small_and_never_zero(dtype: str) -> None:
    """Up to ±4; int8 has no room for 4 where K is 8: 8·4·4 is 128."""
    most = 3 if dtype == "int8" else 4
    for array in fill(case(dtype=dtype, kernel=[2, 2], channels=ChannelsEntry(in_=2, out=64)))[:2]:
        assert set(array.ravel().tolist()) == set(range(-most, most + 1)) - {0}


@pytest.mark.parametrize("name", ["integers", "ramp"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", [([40, 40], [12, 12]), ([300, 300], [2, 2])])
def test_a_large_sum_still_fits_gate_1(name: str, dtype: str, sizes: tuple[list[int], list[int]]) -> None:
    """K = 2304 forward; K = 178 802 for grad_weight: the sum of magnitudes itself is looked at, not its expectation."""
    c = case(input=sizes[0], kernel=sizes[1], channels=16 if sizes[1][0] == 12 else 1, dtype=dtype, fill=name)
    arrays, limit = fill(c), 2.0 ** (53 if dtype == "float64" else 24)
    for p in conv.PASSES:
        expected = conv.reference(c, arrays, p)
        assert expected.integral
        assert expected.magnitude.max() <= limit, p
    assert conv.terms(c, Pass.GRAD_WEIGHT) > 1000


@pytest.mark.parametrize("kernel", [1, 3, 7, 14, 31, 126])
def test_int8_stays_in_range_whatever_is_drawn(kernel: int) -> None:
    """K products and a bias, each as large as a fill can make it, come to 127 at most."""
    c = case(dtype="int8", kernel=[kernel], input=[200], channels=1)
    x, w, b = (float(np.abs(a).max()) for a in fill(c))
    assert kernel * x * w + b <= 127


def test_where_no_integer_but_1_fits_there_is_still_a_sign() -> None:
    w = fill(case(dtype="int8", kernel=[9, 8], channels=4))[1]
    assert set(w.ravel().tolist()) == {-1, 1}


def test_normal_is_normal() -> None:
    x = fill(case(fill="normal", dtype="float64", input=[60, 60]))[0]
    assert abs(x.mean()) < 0.05
    assert abs(x.std() - 1) < 0.03
    assert np.abs(x).max() > 3
    assert len(np.unique(x)) == x.size


def test_wide_spans_its_exponents() -> None:
    for dtype, reach in (("float32", 12), ("float16", 3)):
        x = np.abs(fill(case(fill="wide", dtype=dtype, input=[60, 60]))[0].astype(np.float64))
        assert 2.0**reach < x.max() <= 6 * 2.0**reach
        assert np.median(x) < 2


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_cancelling_cancels_in_every_pass(dtype: str) -> None:
    """Sums are far smaller than their magnitudes: half of them by a factor of 10 and more."""
    c = case(fill="cancelling", dtype=dtype, input=[17, 17], kernel=[4, 4], channels=4)
    arrays = fill(c)
    for p in conv.PASSES:
        expected = conv.reference(c, arrays, p)
        assert np.median(np.abs(expected.value) / expected.magnitude) < 0.1, p
        assert np.abs(expected.value).max() < FORMATS[dtype].largest / 2, p


def test_ramp_counts_up() -> None:
    x, w, b, _ = fill(case(fill="ramp"))
    assert x.ravel()[:130].tolist() == [*range(1, 128), 1, 2, 3]
    assert w.ravel().tolist() == list(range(1, 73))
    assert b.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["ramp", "impulse"])
@pytest.mark.parametrize("kernel", [14, 30, 31, 60, 126])
def test_a_ramp_without_room_to_count_still_tells_places_apart(name: str, kernel: int) -> None:
    """In int8, K products of numbers up to m leave m = 2 from K = 14 and m = 1 from K = 31: all would be 1."""
    c = case(dtype="int8", kernel=[kernel], input=[200], channels=1, fill=name)
    x, w, _ = (a.astype(int) for a in fill(c))
    shifts = range(1, min(8, kernel // 2))
    for values in (w.ravel(), x.ravel()) if name == "ramp" else (w.ravel(),):
        assert all((values[shift:] != values[:-shift]).any() for shift in shifts)
    due = conv.reference(c, fill(c), Pass.FORWARD)
    assert due.magnitude.max() <= 127
    assert len(np.unique(due.value)) > 2


def test_impulse_has_one_place_that_is_not_zero() -> None:
    places = set()
    for seed in range(20):
        x, w, *_ = fill(case(fill="impulse", seed=seed))
        assert np.count_nonzero(x) == 1
        assert x.sum() == 1
        assert w.ravel()[:3].tolist() == [1, 2, 3]
        places.add(int(np.argmax(x)))
    assert len(places) > 15


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_has_each_special_once(dtype: str) -> None:
    x, w, *_ = fill(case(fill="special", dtype=dtype))
    assert [int(np.isnan(x).sum()), int(np.isposinf(x).sum()), int(np.isneginf(x).sum())] == [1, 1, 1]
    assert (np.signbit(x) & (x == 0)).sum() == 1
    assert (x == FORMATS[dtype].smallest_subnormal).sum() == 1
    assert np.isfinite(w).all()


@pytest.mark.parametrize(("size", "specials"), [(1, 1), (4, 1), (8, 2), (12, 3), (40, 5)])
def test_special_leaves_three_quarters_of_a_small_input(size: int, specials: int) -> None:
    x = fill(case(fill="special", input=[size], kernel=[1], channels=1, batch=1))[0].astype(np.float64)
    plain = np.isfinite(x) & (x == np.trunc(x)) & (x != 0)
    assert x.size - plain.sum() == specials


def test_written_values_are_kept_and_rounded() -> None:
    c = case(
        input=ArrayEntry(values=[[0.1, 2, -3]]), kernel=KernelEntry(values=[[0.5]]), channels=None, batch=None,
        dtype="bfloat16", fill="normal",
    )  # fmt: skip
    x, w, *_ = fill(c)
    assert x.ravel().tolist() == [0.10009765625, 2, -3]
    assert w.ravel().tolist() == [0.5]


def test_empty_operands() -> None:
    for name in FILLS:
        x, w, *_ = fill(case(batch=0, fill=name))
        assert x.shape == (0, 3, 9, 8)
        assert w.shape == (4, 3, 3, 2)


def test_invalid_cases_have_operands_too() -> None:
    """A backend must be given something to refuse, though neither K nor an output shape exists."""
    for keys in ({"stride": 0}, {"kernel": [20, 2]}, {"groups": 2}):
        c = case(expect=ExpectEntry(error="stride"), passes=("forward",), **keys)
        assert [a.shape for a in fill(c)] == [o.shape for o in c.operands]


def pool(**keys: Any) -> MaxPoolCase:
    entry = msgspec.convert({"name": "case", "passes": ("forward",)} | keys, max_pool.ENTRY)
    return max_pool.resolve(entry, Common(id="a/b/c", origin=Origin(file="f", line=1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[1], [2], [3, 4], [12, 13]], ids=str)
def test_maxima_are_chosen_among_integers_that_differ_and_are_not_zero(dtype: str, sizes: list[int]) -> None:
    x = fill(pool(rank=len(sizes), input=sizes, kernel=1, batch=3, channels=4, dtype=dtype, fill="integers"))[0]
    planes = x.reshape(12, -1).astype(np.int64)
    assert (planes != 0).all()
    assert len({tuple(row) for row in planes.tolist()}) == 12
    assert all(len(set(row)) == len(row) for row in planes.tolist())
    if 12 * planes.shape[1] <= 2 * min(2.0 ** FORMATS[dtype].bits, FORMATS[dtype].largest):
        assert len(np.unique(planes)) == planes.size


@pytest.mark.parametrize("name", ["impulse", "special"])
def test_what_stands_out_lies_where_a_window_sees_it(name: str) -> None:
    """Windows of one position, every third: two places in three are seen by none."""
    for seed in range(12):
        x = fill(case(input=[10, 10], kernel=[1, 1], stride=3, fill=name, seed=seed))[0][:, :, ::3, ::3]
        assert (x == 1).sum() == 1 if name == "impulse" else np.isnan(x).sum() == 1


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
@pytest.mark.parametrize("kernel", [[3], [3, 3], [2, 3, 2], [5, 7]], ids=str)
def test_a_ramp_is_in_step_with_no_axis(dtype: str, kernel: list[int]) -> None:
    """Else a kernel that is read bottom up, or another channel, would give the same."""
    c = case(input=[9] * len(kernel), kernel=kernel, dtype=dtype, fill="ramp", passes=("forward",))
    w = fill(c)[1].astype(np.float64)
    assert not any(np.array_equal(w, np.flip(w, axis)) for axis in range(w.ndim))
    assert not any(np.array_equal(w, np.roll(w, 1, axis)) for axis in range(w.ndim))


def test_normal_uses_all_bits_of_a_float64() -> None:
    x = np.abs(fill(case(input=[40, 40], fill="normal", dtype="float64"))[0].ravel())
    last = np.ldexp(1.0, np.frexp(x)[1] - 53)  # of each number's significand
    small = x < 1  # of larger ones, a draw of 53 bits of 12 leaves little
    assert (x[small] / last[small] % 2 == 1).mean() > 0.3
