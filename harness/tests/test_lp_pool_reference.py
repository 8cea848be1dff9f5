"""The reference of `lp_pool` against its definition, finite differences, and answers that the judge must not take."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import numpy as np
import pytest

from convsuite.case import Numerics, Origin, Pass
from convsuite.errors import CaseError
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import lp_pool
from convsuite.operations.common import Common
from convsuite.operations.lp_pool import LpPoolCase, LpPoolEntry

FLOAT32 = Numerics(accumulator="float32")
BOTH = ("forward", "grad_input")


def case(**keys: Any) -> LpPoolCase:
    """Resolve a case from case-file keys: value and gradient, if nothing else is said."""
    entry = msgspec.convert({"name": "case", "passes": BOTH} | keys, LpPoolEntry)
    return lp_pool.resolve(entry, Common(id="lp_pool/test/case", origin=Origin(file="test.yaml", line=1)))


def due(c: LpPoolCase, pass_: Pass = Pass.FORWARD) -> Any:
    """Return what a pass must give of the case's own operands."""
    return lp_pool.reference(c, fill(c), pass_)


@pytest.mark.parametrize("power", [0.5, 1, 1.5, 2, 3])
@pytest.mark.parametrize("keys", [{}, {"stride": 2, "ceil_mode": True}, {"padding": 1}], ids=str)
def test_is_the_definition(power, keys):
    c = case(rank=1, input=8, kernel=3, power=power, dtype="float64", fill="normal", passes=("forward",), **keys)
    x, expected = fill(c)[0][0, 0], due(c)
    low, stride = c.padding.pads[0][0], c.stride[0]
    with localcontext() as context:
        context.prec = 40
        for at, (high, rest) in enumerate(zip(expected.value[0, 0], expected.low[0, 0], strict=True)):
            seen = x[max(0, at * stride - low) : at * stride - low + 3]
            norm = sum(abs(Decimal(float(v))) ** Decimal(power) for v in seen) ** (1 / Decimal(power))
            assert abs(Decimal(high) + Decimal(rest) - norm) <= norm * Decimal(2) ** -100


@pytest.mark.parametrize("power", [0.5, 1, 1.5, 2, 3])
def test_float64_and_decimals_agree(power):
    c = case(input=[5, 6], kernel=2, stride=1, power=power, fill="normal", dtype="float64")
    for pass_ in c.passes:
        narrow, wide = lp_pool.reference(replace(c, dtype="float32"), fill(c), pass_), due(c, pass_)
        np.testing.assert_allclose(narrow.value, wide.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("power", "absolute"), [(0.5, True), (1, True), (1, False), (1.5, True), (2, True), (3, False)]
)
def test_the_gradient_is_a_slope(power, absolute):
    c = case(input=[4, 5], kernel=2, stride=1, power=power, absolute=absolute, dtype="float64", fill="ramp")
    x, grad = fill(c)
    found = lp_pool.reference(c, (x, grad), Pass.GRAD_INPUT).value
    for at in np.ndindex(x.shape):
        values = []
        for step in (1e-5, -1e-5):
            moved = x.copy()
            moved[at] += step
            values.append((lp_pool.reference(c, (moved, grad), Pass.FORWARD).value * grad).sum())
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(found[at], rel=1e-6)


def test_zeros_pass_no_gradient():
    for power in (1, 1.5, 2, 3):
        c = case(rank=1, input={"values": [0, 0, 3, 4]}, kernel=2, power=power)
        expected = due(c, Pass.GRAD_INPUT)
        assert expected.value[0, 0, :2].tolist() == expected.magnitude[0, 0, :2].tolist() == [0, 0]


def test_signs_that_cancel_are_not_checked():
    c = case(rank=1, input={"values": [3, -3, 3, 1, 3, -4]}, kernel=2, power=3, absolute=False, passes=("forward",))
    expected = due(c)
    assert np.isinf(expected.magnitude[0, 0, 0])
    assert expected.value[0, 0, 1] == pytest.approx(28 ** (1 / 3))
    assert np.isnan(expected.value[0, 0, 2])


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.GRAD_INPUT])
@pytest.mark.parametrize("wrong", [{"power": 3.0}, {"power": 2.015625}], ids=str)
def test_another_power_is_seen(pass_, wrong):
    c = case(batch=2, input=[6, 7], kernel=3, stride=2, fill="normal", power=2)
    expected, arrays = due(c, pass_), fill(c)
    assert judge(expected.value.astype("float32"), "float32", expected, "float32", FLOAT32).right
    other = lp_pool.reference(replace(c, **wrong), arrays, pass_).value.astype("float32")
    assert not judge(other, "float32", expected, "float32", FLOAT32).right


def test_a_mean_for_a_sum_is_seen():
    c = case(input=[6, 7], kernel=3, stride=2, fill="normal", passes=("forward",))
    mean = (due(c).value / 3).astype("float32")
    assert not judge(mean, "float32", due(c), "float32", FLOAT32).right


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"power": 0}, "power"),
        ({"power": -1}, "power"),
        ({"power": 1.5, "absolute": False}, "absolute"),
        ({"stride": 0}, "stride"),
    ],
)
def test_violations(keys, key):
    broken = lp_pool.violations(case(**{"input": 6, "kernel": 3, "passes": ("forward",)} | keys))
    assert [error.key for error in broken] == [(key,)]


def test_a_power_that_16_bits_round_is_refused():
    with pytest.raises(CaseError, match="more than the 8 significant bits"):
        case(input=6, kernel=3, power=1.7)


@pytest.mark.parametrize("keys", [{"batch": 0}, {"channels": 0}], ids=str)
def test_without_elements_the_gradient_has_none(keys):
    c = case(input=[4, 4], kernel=2, **keys)
    assert due(c, Pass.GRAD_INPUT).value.shape == c.input_shape


def test_the_root_of_a_negative_sum_is_a_nan():
    """Of -1 and -8 to the third power; any number instead is wrong, and not unchecked."""
    c = case(rank=1, input={"values": [-1, -2, 3, 4]}, kernel=2, stride=2, power=3, absolute=False, passes=("forward",))
    expected = due(c)
    right = np.array([[[np.nan, 91 ** (1 / 3)]]], np.float32)
    assert judge(right, "float32", expected, "float32", FLOAT32).right
    assert not judge(np.nan_to_num(right, nan=5.0), "float32", expected, "float32", FLOAT32).right
