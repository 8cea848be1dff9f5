"""The reference of `max_pool` against its definition: a window at a time, in plain Python, by each rule's own words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import inf, isnan, nan, prod
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite import show
from convsuite.case import Numerics, Origin, Pass
from convsuite.errors import CaseError
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import max_pool
from convsuite.operations.common import Common
from convsuite.operations.max_pool import NAN, TIES, MaxPoolCase, MaxPoolEntry

ALL = ["forward", "indices", "grad_input"]
Tap = tuple[int, float]  # where in the plane, −1 for padding, and the value there


def case(**keys: Any) -> MaxPoolCase:
    entry = msgspec.convert({"name": "case", "passes": ALL[::2], **keys}, MaxPoolEntry)
    return max_pool.resolve(entry, Common(id="max_pool/test/case", origin=Origin(file="test.yaml", line=1)))


def windows(c: MaxPoolCase, plane: NDArray[Any]) -> list[list[Tap]]:
    """Return the taps of every window, in row-major order."""
    flat = plane.ravel()
    found = []
    for position in product(*(range(n) for n in max_pool.output_shape(c)[2:])):
        taps = []
        for tap in product(*(range(k) for k in c.kernel)):
            rows = zip(position, tap, c.stride, c.dilation, c.padding.pads, plane.shape, strict=True)
            at = [(p * s + t * d - low, n + min(high, 0)) for p, t, s, d, (low, high), n in rows]
            inside = all(0 <= i < end for i, end in at)
            where = int(np.ravel_multi_index([i for i, _ in at], plane.shape)) if inside else -1
            taps.append((where, float(flat[where]) if inside else -inf))
        found.append(taps)
    return found


def value(c: MaxPoolCase, taps: Sequence[Tap], nothing: float) -> float:
    seen = [v for at, v in taps if at >= 0]
    if c.nan == "propagate" and any(map(isnan, seen)):
        return nan
    return max((v for v in seen if not isnan(v)), default=nothing)


def places(c: MaxPoolCase, taps: Sequence[Tap]) -> list[int]:
    """Return where a window points to, from the words that describe the rule."""
    seen = [tap for tap in taps if tap[0] >= 0]
    numbers = [tap for tap in seen if not isnan(tap[1])]
    nans = [at for at, v in seen if isnan(v)]
    if c.tie == "all":
        return [at for at, v in seen if v == value(c, taps, -inf)]
    if c.tie == "first":
        return nans[:1] if nans and c.nan == "propagate" else first_max(numbers)
    if c.tie == "last_nan":
        return nans[-1:] or first_max(numbers)
    if c.tie == "leading_nan":
        return nans[:1] if nans and seen[0][0] == nans[0] else first_max(numbers)
    counted = list(taps) if c.tie == "behind_nan_padded" else seen
    last = max((number for number, (_, v) in enumerate(counted) if isnan(v)), default=-1)
    behind = first_max(counted[last + 1 :]) or [at for at, _ in counted[last : last + 1]]
    return [at for at in behind if at >= 0]


def first_max(taps: Sequence[Tap]) -> list[int]:
    return [next(at for at, v in taps if v == max(v for _, v in taps))] if taps else []


def due(c: MaxPoolCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> NDArray[Any]:
    planes = arrays[0].astype(np.float64).reshape(-1, *c.input_shape[2:])
    nothing = float(np.iinfo(c.dtype).min) if c.dtype.startswith("int") else -inf
    of_all = [windows(c, plane) for plane in planes]
    if pass_ is Pass.FORWARD:
        return np.array([[value(c, t, nothing) for t in ws] for ws in of_all]).reshape(max_pool.output_shape(c))
    pointed = [[places(c, t) for t in ws] for ws in of_all]
    if pass_ is Pass.INDICES:
        return np.array([[(p or [-1])[0] for p in ps] for ps in pointed]).reshape(max_pool.output_shape(c))
    total = np.zeros((len(planes), prod(c.input_shape[2:])))
    grad = arrays[-1].astype(np.float64).reshape(len(planes), prod(max_pool.output_shape(c)[2:]))
    for plane, ps in enumerate(pointed):
        for window, at in ((w, at) for w, where in enumerate(ps) for at in where):
            total[plane, at] += grad[plane, window]
    return total.reshape(c.input_shape)


def check(c: MaxPoolCase) -> None:
    arrays = fill(c)
    for pass_ in c.passes:
        found = max_pool.reference(c, arrays, pass_)
        np.testing.assert_array_equal(found.value, due(c, arrays, pass_), err_msg=str(pass_))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("nan_", NAN)
@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize("padding", ["valid", 1, "same", "full"])
def test_every_rule_on_special_values(rank: int, nan_: str, tie: str, padding: Any) -> None:
    passes = ALL if tie != "all" else ALL[::2]
    window: dict[str, Any] = {"kernel": 2, "stride": 1, "padding": padding}
    check(case(rank=rank, channels=5, input=4, fill="special", nan=nan_, tie=tie, passes=passes, **window))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    "padding", ["valid", "same", "same_lower", 1, [[0, 1], [2, 0]], [[1, -1], [-1, 0]], [[3, 4], [0, 5]]]
)
def test_geometry(dtype: str, ceil_mode: bool, padding: Any) -> None:
    for sizes in ([5, 6], [6, 7], [7, 8]):
        shared: dict[str, Any] = {"input": sizes, "kernel": [3, 2], "padding": padding, "dtype": dtype, "passes": ALL}
        check(case(**shared, stride=[2, 3], ceil_mode=ceil_mode, batch=2, channels=2))
        check(case(**shared, stride=1, dilation=[1, 2], ceil_mode=ceil_mode, fill="ramp"))


@pytest.mark.parametrize("dtype", ["int32", "int8"])
def test_integers_of_which_a_window_of_padding_is_the_lowest(dtype: str) -> None:
    check(case(rank=1, input=4, kernel=2, padding=[[2, 3]], dtype=dtype, passes=ALL[:2]))


def test_an_empty_batch_and_a_window_of_nothing() -> None:
    check(case(rank=2, batch=0, channels=2, input=4, kernel=2))
    c = case(rank=1, input=1, kernel=2, stride=1, dilation=2, padding=1, passes=ALL)
    assert max_pool.reference(c, fill(c), Pass.FORWARD).value.ravel().tolist() == [-inf]
    assert max_pool.reference(c, fill(c), Pass.INDICES).value.ravel().tolist() == [-1]
    assert max_pool.reference(c, fill(c), Pass.GRAD_INPUT).value.ravel().tolist() == [0]


def test_float64_gradients_are_summed_in_double_double() -> None:
    c = case(rank=1, input={"values": [0, 9, 0]}, kernel=2, stride=1, dtype="float64", fill="normal")
    x, _ = fill(c)
    found = max_pool.reference(c, (x, np.array([[[1.0, 2.0**-60]]])), Pass.GRAD_INPUT)
    assert found.low is not None
    assert (found.value[0, 0, 1], found.low[0, 0, 1]) == (1.0, 2.0**-60)


def verdict(c: MaxPoolCase, pass_: Pass, change: Any) -> bool:
    expected = max_pool.reference(c, fill(c), pass_)
    dtype = "int64" if pass_ is Pass.INDICES else c.dtype
    answer = expected.value.astype(dtype)
    change(answer)
    return judge(answer, dtype, expected, dtype, Numerics(accumulator="float32")).right


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.INDICES, Pass.GRAD_INPUT])
def test_one_wrong_element_is_seen(pass_: Pass) -> None:
    def next_number(answer: NDArray[Any]) -> None:
        answer.flat[3] = (
            np.nextafter(answer.flat[3], np.float32(inf)) if answer.dtype.kind == "f" else answer.flat[3] + 1
        )

    for name in ("integers", "normal", "special"):
        c = case(rank=2, input=5, kernel=2, stride=1, fill=name, passes=ALL)
        assert verdict(c, pass_, lambda answer: None)
        if np.isfinite(max_pool.reference(c, fill(c), pass_).value.flat[3]) and not (
            pass_.gradient and name == "normal"
        ):
            assert not verdict(c, pass_, next_number)


def test_a_nan_that_is_lost_or_invented_is_seen() -> None:
    c = case(rank=1, input={"values": [nan, 1, 2, 3]}, kernel=2)
    assert verdict(c, Pass.FORWARD, lambda answer: None)
    assert not verdict(c, Pass.FORWARD, lambda answer: answer.put(0, 1))
    assert not verdict(c, Pass.FORWARD, lambda answer: answer.put(1, nan))
    lowest = case(rank=1, input={"values": [-inf, -inf, 2, 3]}, kernel=2)
    assert not verdict(lowest, Pass.FORWARD, lambda answer: answer.put(0, np.finfo(np.float32).min))


def test_a_subnormal_maximum_may_be_flushed_only_where_it_is_the_smallest() -> None:
    for size, flushed in ((2.0**-149, True), (2.0**-140, False)):
        c = case(rank=1, input={"values": [-1, size, 2, 3]}, kernel=2)
        assert verdict(c, Pass.FORWARD, lambda answer: answer.put(0, 0)) is flushed


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"input": {"values": [1, nan]}}, (True, False, False)),
        ({"input": {"values": [1, -inf]}}, (False, True, False)),
        ({"input": {"values": [1, 1]}}, (False, False, True)),
        ({"input": {"values": [[1, 2], [1, 2]]}}, (False, False, False)),  # two channels: no plane has a tie
        ({"input": {"values": [1, -128]}, "dtype": "int8"}, (False, True, False)),
        ({"input": 4, "fill": "special"}, (True, True, True)),
        ({"input": 4}, (False, False, False)),
        ({"input": 300, "dtype": "int8"}, (False, False, True)),
        ({"input": 4, "fill": "normal"}, (False, False, False)),
        ({"input": 4, "fill": "normal", "dtype": "bfloat16"}, (False, False, True)),
        ({"input": 4, "fill": "impulse"}, (False, False, True)),
    ],
    ids=str,
)
def test_what_an_input_may_hold(keys: dict[str, Any], told: tuple[bool, bool, bool]) -> None:
    c = case(rank=1, kernel=2, passes=["forward"], **keys)
    assert (c.nans, c.bottoms, c.ties) == told


def test_no_index_where_several_positions_have_the_gradient() -> None:
    (broken,) = max_pool.violations(case(rank=1, input=4, kernel=2, tie="all", passes=ALL))
    assert isinstance(broken, CaseError)
    assert broken.key == ("passes",)


def test_the_worked_example_of_same_padding_shows_the_row_and_the_column_after_the_data() -> None:
    page = show.describe(
        case(input={"values": np.arange(16).reshape(4, 4).tolist()}, kernel=3, stride=2, padding="same")
    )
    for line in (
        "  padding H         same_upper: 0 before, 1 after",
        "  the windows start at 0 and 2",
        "   [0,0] [0,1] [0,2]  0,3  │    p",
        "   [2,0] [2,1] [2,2]  2,3  │    p",
        "   ────────────────────────┼──────",
        "      p     p     p     p  │    p",
        "  [[10, 11],",
    ):
        assert f"{line}\n" in page, line
