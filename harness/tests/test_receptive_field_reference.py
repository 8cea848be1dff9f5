"""Receptive fields: the formula, and paths counted one by one."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest

from convsuite.case import Origin, Pass
from convsuite.errors import CaseError
from convsuite.operands import fill
from convsuite.operations import receptive_field
from convsuite.operations.common import Common
from convsuite.operations.receptive_field import ReceptiveFieldCase, ReceptiveFieldEntry

STACKS = [
    [{"kernel": 3}],
    [{"kernel": 3, "stride": 2, "padding": 1}, {"kernel": 2, "dilation": 2}],
    [{"kernel": [2, 3], "stride": [1, 2], "padding": "same_lower"}, {"kernel": 3, "padding": "causal"}],
    [{"kernel": 2, "padding": [[1, -1], [0, 2]]}, {"kernel": [1, 2], "dilation": [3, 2], "padding": 1}, {"kernel": 2}],
]


def case(**keys: Any) -> ReceptiveFieldCase:
    entry = msgspec.convert({"name": "x", "input": [9, 8], **keys}, ReceptiveFieldEntry)
    return receptive_field.resolve(entry, Common(id="receptive_field/t/x", origin=Origin(file="t.yaml", line=1)))


def paths(c: ReceptiveFieldCase) -> Counter[tuple[int, ...]]:
    """Walk back from the output, tap by tap, layer by layer; a path that ends in padding counts for nothing."""
    reached = Counter([c.at])
    for layer in reversed(c.layers):
        before: Counter[tuple[int, ...]] = Counter()
        for position, count in reached.items():
            for tap in product(*map(range, layer.kernel)):
                axes = zip(position, tap, layer.stride, layer.dilation, layer.padding.pads, strict=True)
                to = tuple(p * s + t * d - low for p, t, s, d, (low, _) in axes)
                if all(0 <= i < n for i, n in zip(to, layer.input_shape[2:], strict=True)):
                    before[to] += count
        reached = before
    return reached


def gradient(c: ReceptiveFieldCase) -> np.ndarray[Any, Any]:
    return receptive_field.reference(c, fill(c), Pass.GRAD_INPUT).value[0, 0]


@pytest.mark.parametrize("layers", STACKS)
@pytest.mark.parametrize("at", [0, 1, None])
def test_the_gradient_counts_the_paths(layers: list[dict[str, Any]], at: int | None) -> None:
    c = case(layers=layers, at=at)
    assert {i: n for i, n in np.ndenumerate(gradient(c)) if n} == paths(c)


@pytest.mark.parametrize("layers", STACKS)
def test_the_forward_pass_is_the_transpose_of_the_gradient(layers: list[dict[str, Any]]) -> None:
    c = case(layers=layers)
    x, g = fill(c)
    y = receptive_field.reference(c, (x, g), Pass.FORWARD).value
    assert y[(0, 0, *c.at)] == (x[0, 0] * gradient(c)).sum() != 0


def test_the_extent_is_that_of_the_support_where_nothing_is_cut() -> None:
    c = case(input=[40, 40], layers=[{"kernel": 3, "stride": 2}, {"kernel": [2, 3], "dilation": 2}, {"kernel": 3}])
    support = np.argwhere(gradient(c))
    assert tuple(support.max(0) - support.min(0) + 1) == c.extent == (11, 15)


def test_a_wrong_field_is_refused_with_both_numbers() -> None:
    (error,) = receptive_field.violations(case(layers=[{"kernel": 3}, {"kernel": 3}], field=7))
    assert str(error) == "field is [7, 7], by the formula [5, 5]"
    assert not receptive_field.violations(case(layers=[{"kernel": 3}, {"kernel": 3}], field=5))


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"layers": [{"kernel": 3}, {"kernel": 9}]}, "layer 1: axis 0: the kernel spans 9"),
        ({"layers": [{"kernel": 3, "stride": 0}, {"kernel": 2}]}, "layer 0: stride must be at least 1"),
        ({"layers": [{"kernel": 3}], "at": 7}, "at is [7, 7], the output is [7, 6]"),
        ({"layers": [{"kernel": 3}], "fill": "special"}, "there is no place for NaN"),
    ],
)
def test_an_impossible_stack_is_refused(keys: dict[str, Any], rule: str) -> None:
    assert rule in str(receptive_field.violations(case(**keys))[0])


def test_a_stack_needs_layers() -> None:
    with pytest.raises(CaseError, match="layers is missing"):
        case()
