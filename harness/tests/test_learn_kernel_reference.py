"""Learning a kernel: the exact descent, and a bound that right arithmetic keeps and a fault does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from convsuite.case import Numerics, Origin, Pass, Verdict
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import learn_kernel
from convsuite.operations.common import Common
from convsuite.operations.learn_kernel import LearnKernelCase, LearnKernelEntry

Array = np.ndarray[Any, Any]


def case(**keys: Any) -> LearnKernelCase:
    entry = msgspec.convert({"name": "x", "kernel": [2, 2], "input": [4, 5], **keys}, LearnKernelEntry)
    return learn_kernel.resolve(entry, Common(id="learn_kernel/t/x", origin=Origin(file="t.yaml", line=1)))


def descend(c: LearnKernelCase, x: Array, y: Array, w: Array, fault: float = 0.0) -> Array:
    """Literal loops over outputs and taps, in the operands' dtype; each gradient's last tap is off by `fault`."""
    rate, rows = w.dtype.type(c.learning_rate), []
    for _ in range(c.steps):
        loss, gradient = w.dtype.type(0), np.zeros_like(w)
        for n, i, j in np.ndindex(y.shape[0], *y.shape[2:]):
            seen = x[n, 0, i : i + w.shape[2], j : j + w.shape[3]]
            residual = (seen * w[0, 0]).sum() - y[n, 0, i, j]
            loss += residual * residual
            gradient[0, 0] += 2 * residual * seen
        gradient[0, 0, -1, -1] += w.dtype.type(fault)
        w = w - rate * gradient
        rows.append([loss, *w.ravel()])
    return np.array(rows, x.dtype)


def verdict(c: LearnKernelCase, answer: Array) -> Verdict:
    expected = learn_kernel.reference(c, fill(c), Pass.FORWARD)
    return judge(answer, c.dtype, expected, c.dtype, Numerics(accumulator=c.dtype))


@pytest.mark.parametrize("dtype", learn_kernel.DTYPES)
@pytest.mark.parametrize("keys", [{}, {"batch": 2, "steps": 20}, {"kernel": [1, 3]}, {"fill": "normal"}])
def test_literal_loops_are_within_the_bound(dtype: str, keys: dict[str, Any]) -> None:
    c = case(dtype=dtype, learning_rate=0.001, **keys)
    told = verdict(c, descend(c, *fill(c)))
    assert told.right, told.message
    assert not told.suspect


@pytest.mark.parametrize("dtype", learn_kernel.DTYPES)
def test_a_wrong_gradient_is_beyond_it(dtype: str) -> None:
    c = case(dtype=dtype, learning_rate=0.001, fill="normal")
    assert not verdict(c, descend(c, *fill(c), fault=0.01)).right


def test_another_learning_rate_is_beyond_it() -> None:
    c = case(dtype="float32", learning_rate=0.001, fill="normal")
    assert not verdict(c, descend(replace(c, learning_rate=0.00100005), *fill(c))).right


def test_the_edge_detector_of_the_worked_example() -> None:
    """X of 6 rows with two edges, Y = X convolved with [1, -1]: after ten steps at 3e-2 the kernel is nearly there."""
    image, target = [[1, 1, 0, 0, 0, 0, 1, 1]] * 6, [[0, 1, 0, 0, 0, -1, 0]] * 6
    c = case(
        input={"values": image},
        target={"values": target},
        kernel={"values": [[0.25, -0.5]]},
        learning_rate=0.03,
        steps=10,
    )
    value = learn_kernel.reference(c, fill(c), Pass.FORWARD).value
    assert value.shape == (10, 3)
    assert value[-1, 1:] == pytest.approx([1, -1], abs=0.05)
    assert (np.diff(value[:, 0]) < 0).all()


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"dtype": "float16"}, "not in float16"),
        ({"fill": "special"}, "no place for NaN"),
        ({"kernel": 5}, "the kernel spans 5"),
        ({"input": 200, "kernel": 5}, "too many to follow exactly"),
    ],
)
def test_what_cannot_be_followed_is_refused(keys: dict[str, Any], rule: str) -> None:
    assert rule in str(learn_kernel.violations(case(**keys))[0])
