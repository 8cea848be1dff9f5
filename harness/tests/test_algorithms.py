"""Fast algorithms' bounds: the identities that they rest on, right answers in rough arithmetic, and faults."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import inf, prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite import declared
from convsuite.algorithms import Fft, Winograd, matrices
from convsuite.arithmetic import evaluate
from convsuite.case import Expected, Numerics, Verdict
from convsuite.judge import judge, units_apart
from convsuite.operations.norms import norms
from convsuite.tolerance import allowance

Real = NDArray[Any]
RNG = np.random.default_rng(0)
F2, F4 = (Winograd(tile=(m, m), kernel=(3, 3), channels=8) for m in (2, 4))
TRANSFORM = Fft(size=(16, 16), kernel=(3, 3), channels=8)


def under(fast: Any, accumulator: str = "float32") -> Numerics:
    return Numerics(accumulator=accumulator, fast=fast)


def operands(name: str, channels: int = 8, size: int = 14) -> tuple[Real, Real]:
    """Input (C, H, W) and weight (C, 3, 3)."""
    x, w = RNG.standard_normal((channels, size, size)), RNG.standard_normal((channels, 3, 3))
    match name:
        case "integers":
            x, w = RNG.integers(-4, 5, x.shape), RNG.integers(-4, 5, w.shape)
        case "positive":
            x, w = np.abs(x), np.abs(w)
        case "wide":
            x, w = (a * 2.0 ** RNG.integers(-12, 13, a.shape) for a in (x, w))
        case "impulse":
            x = np.zeros_like(x)
            x[0, 0, 0] = 1
        case "alternating":  # V cancels least, and M most
            x = 1 - 2.0 * (np.indices(x.shape).sum(axis=0) % 2)
        case "tiny":
            x, w = x * 2.0**-100, w * 2.0**-20
        case "subnormal":
            x, w = x * 2.0**60, w * 2.0**-124
    return x.astype(np.float32), w.astype(np.float32)


def correlated(x: Real, w: Real, dtype: str = "float32") -> Expected:
    """Σ_c Σ_t x[c, p + t]·w[c, t] without padding, as (1, 1, H − 2, W − 2)."""
    size = x.shape[-1] - 2
    taps = list(product(range(3), repeat=2))
    rows = np.stack([x[:, i : i + size, j : j + size] for i, j in taps], axis=1).reshape(len(taps) * len(x), -1)
    found = evaluate(lambda a, ops: a.matmul(ops[0], ops[1]), (w.reshape(1, -1), rows), dtype, len(rows))
    shape = (1, 1, size, size)
    of = norms(x.reshape(1, 1, len(x), -1).astype(float), w.reshape(1, 1, len(w), -1).astype(float), dtype, 2)
    whole = np.broadcast_to(np.asarray(found.integral), found.value.shape).reshape(shape)
    value, magnitude = found.value.reshape(shape), found.magnitude.reshape(shape)
    return replace(found, value=value, magnitude=magnitude, integral=whole, norms=lambda: of)


def filtered(x: Real, w: Real, m: int, work: Any = np.float32, planted: Any = None) -> Real:
    """Winograd's filtering from the exact matrices, each step rounded to a dtype."""
    a, g, b = (np.array([[float(v) for v in row] for row in getattr(matrices(m, 3), name)]) for name in "AGB")
    if planted is not None:
        planted(a, g, b)
    a, g, b = (each.astype(work) for each in (a, g, b))
    weights = g @ w.astype(work) @ g.T
    size = x.shape[-1] - 2
    y = np.zeros((size, size), work)
    for i, j in product(range(0, size, m), repeat=2):
        tiles = b @ x[:, i : i + m + 2, j : j + m + 2].astype(work) @ b.T
        summed = np.zeros((m + 2, m + 2), work)
        for channel in range(len(x)):
            summed += weights[channel] * tiles[channel]
        y[i : i + m, j : j + m] = a @ summed @ a.T
    return y.astype(np.float32)[None, None]


def transformed(x: Real, w: Real, work: Any = np.float32) -> Real:
    shape = x.shape[1:]
    spectra = (np.fft.rfft2(a.astype(work), shape).astype(np.complex64) for a in (x, w))
    total = (next(spectra) * next(spectra).conj()).sum(axis=0)
    return np.fft.irfft2(total, shape)[: shape[0] - 2, : shape[1] - 2].astype(np.float32)[None, None]


def word(answer: Real, expected: Expected, fast: Any) -> Verdict:
    return judge(answer, "float32", expected, "float32", under(fast))


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (1, 3), (3, 3), (2, 2), (3, 2), (2, 4), (4, 1), (1, 1)])
def test_the_matrices_filter_exactly(m: int, r: int) -> None:
    found = matrices(m, r)
    d, w = [int(v) for v in RNG.integers(-9, 10, m + r - 1)], [int(v) for v in RNG.integers(-9, 10, r)]
    products = [
        sum(g * x for g, x in zip(gs, w, strict=True)) * sum(b * x for b, x in zip(bs, d, strict=True))
        for gs, bs in zip(found.G, found.B, strict=True)
    ]
    made = [sum(a * p for a, p in zip(row, products, strict=True)) for row in found.A]
    assert made == [sum(d[p + t] * w[t] for t in range(r)) for p in range(m)]


def test_known_constants() -> None:
    assert (matrices(2, 3).growth, matrices(2, 3).steps, matrices(2, 3).dyadic) == (4.0, 2, True)
    assert (matrices(4, 3).steps, matrices(4, 3).dyadic) == (24, False)
    assert matrices(4, 3).growth == pytest.approx(10 / 6 * 2 + 8 * 6 / 6 * 2 + 10)
    u = 2.0**-24
    # of 8 channels, of A's, of G's and of B's fullest rows over both axes at once, and of a bias
    assert F2.bound(u).roundings == 8 + (9 + 2) + (9 + 2) + (4 + 2) + 1
    assert F2.bound(u).guaranteed == pytest.approx(16 * F2.bound(u).roundings * u, rel=1e-5)
    assert F4.bound(u).guaranteed > F2.bound(u).guaranteed
    assert F4.bound(u).growth == pytest.approx(matrices(4, 3).growth ** 2)


@pytest.mark.parametrize(
    "name", ["normal", "positive", "wide", "impulse", "alternating", "tiny", "subnormal", "integers"]
)
@pytest.mark.parametrize("fast", [F2, F4, TRANSFORM], ids=lambda f: f.name)
def test_right_answers_are_within(name: str, fast: Any) -> None:
    for _ in range(3):
        x, w = operands(name)
        expected = correlated(x, w)
        answer = transformed(x, w) if isinstance(fast, Fft) else filtered(x, w, fast.tile[0])
        verdict = word(answer, expected, fast)
        assert verdict.right, verdict.message
        assert not verdict.suspect, verdict.expected_share
        assert verdict.unchecked == 0


@pytest.mark.parametrize("fast", [F2, F4, TRANSFORM], ids=lambda f: f.name)
def test_channels_that_are_alike_add_their_errors_up(fast: Any) -> None:
    """What is expected must hold there as well: nothing makes channels independent."""
    many = replace(fast, channels=256)
    x, w = (np.broadcast_to(a, (256, *a.shape[1:])) for a in operands("normal", channels=1))
    for x_, w_ in ((x, w), (np.sign(x) / np.float32(3), w)):
        answer = transformed(x_, w_) if isinstance(fast, Fft) else filtered(x_, w_, fast.tile[0])
        verdict = word(answer, correlated(x_, w_), many)
        assert verdict.right, verdict.message
        assert not verdict.suspect, verdict.expected_share


@pytest.mark.parametrize("channels", [64, 128])
def test_a_dropped_channel_and_zeros_are_caught_where_the_proven_bound_is_wide(channels: int) -> None:
    x, w = operands("normal", channels=channels)
    fast = replace(F4, channels=channels)
    right = filtered(x, w, 4)
    dropped = filtered(x[1:], w[1:], 4)
    small = np.where(np.abs(right) < np.median(np.abs(right)), np.float32(0), right)
    expected = correlated(x, w)
    assert word(right, expected, fast).right
    assert not word(dropped, expected, fast).right
    assert not word(small, expected, fast).right


def test_the_bound_is_no_fudge() -> None:
    """Errors of all operations that count the same way would reach it; those of random signs come within 10⁵ of it."""
    x, w = operands("normal")
    share = word(filtered(x, w, 4), correlated(x, w), F4).guaranteed_share
    assert 1e-5 < share < 0.1


@pytest.mark.parametrize("fast", [F2, F4], ids=lambda f: f.name)
@pytest.mark.parametrize("at", range(3))
def test_a_wrong_coefficient_is_caught(fast: Any, at: int) -> None:
    m = fast.tile[0]
    x, w = operands("normal")
    expected = correlated(x, w)
    for row, column in product(range(m + 2), range(m + 2)):

        def plant(*three: Real, row: int = row, column: int = column) -> None:
            if row < three[at].shape[0] and column < three[at].shape[1]:
                three[at][row, column] *= 1.25

        answer = filtered(x, w, m, planted=plant)
        if not np.array_equal(answer, filtered(x, w, m)):
            assert not word(answer, expected, fast).right


@pytest.mark.parametrize("fast", [F2, F4, TRANSFORM], ids=lambda f: f.name)
def test_a_dropped_tap_and_a_shifted_tile_are_caught(fast: Any) -> None:
    x, w = operands("normal")
    expected = correlated(x, w)
    without = w.copy()
    without[3, 1, 2] = 0
    for answer in (filtered(x, without, 2), filtered(np.roll(x, 1, axis=1), w, 2), filtered(x, w[..., ::-1], 2)):
        assert not word(answer, expected, fast).right


@pytest.mark.parametrize("fast", [F2, F4], ids=lambda f: f.name)
def test_half_precision_on_the_way_is_caught(fast: Any) -> None:
    x, w = operands("normal")
    verdict = word(filtered(x, w, fast.tile[0], np.float16), correlated(x, w), fast)
    assert verdict.suspect or not verdict.right
    assert verdict.expected_share > 3


def test_f2_keeps_integers_exact_and_f4_does_not() -> None:
    x, w = operands("integers")
    expected = correlated(x, w)
    assert word(filtered(x, w, 2), expected, F2).gate == "exact"
    assert word(filtered(x, w, 4), expected, F4).gate == "normwise"
    wrong = filtered(x, w, 2)
    wrong[0, 0, 3, 3] += 0.25
    assert not word(wrong, expected, F2).right
    large = correlated(x * 4096, w)
    assert word(filtered(x * 4096, w, 2), large, F2).gate == "normwise"


def test_nothing_passes_without_norms() -> None:
    x, w = operands("normal")
    verdict = word(filtered(x, w, 2), replace(correlated(x, w), norms=None), F2)
    assert not verdict.right
    assert verdict.compared == 0


def test_a_nan_stays_in_its_place() -> None:
    x, w = operands("integers")
    x[2, 5, 5] = np.nan
    expected = correlated(x, w)
    right = expected.value.astype(np.float32)
    assert word(right, expected, F4).right
    spread = right.copy()
    spread[..., 0:4, 0:4] = np.nan  # the whole tile
    assert not word(spread, expected, F4).right


def test_what_may_overflow_on_the_way_is_unchecked() -> None:
    x, w = operands("normal")
    expected = correlated(x * np.float32(1e35), w)
    allowed = allowance(expected, "float32", under(F4))
    assert not allowed.checkable.any()
    assert allowance(expected, "float32", Numerics(accumulator="float32")).checkable.all()


def test_zeros_are_exact() -> None:
    x, w = operands("normal")
    expected = correlated(x * 0, w)
    assert word(np.zeros((1, 1, 12, 12), np.float32), expected, F4).right
    assert not word(np.full((1, 1, 12, 12), 1e-30, np.float32), expected, F4).right


def test_units_are_those_of_the_norm_where_nothing_is_due() -> None:
    x, w = operands("impulse")
    expected = correlated(x, w)
    assert (expected.magnitude == 0).any()
    answer = filtered(x, w, 4)
    answer[0, 0, 3, 3] += 1e-6
    assert word(answer, expected, F4).error_units < inf
    plain = expected.value.astype(np.float32)
    exact = Numerics(accumulator="float32")
    assert units_apart(answer, plain, expected, "float32", [under(F4), exact]) < inf
    assert units_apart(answer, plain, expected, "float32", [exact, exact]) == inf


def test_norms() -> None:
    x = RNG.standard_normal((2, 3, 4, 20))
    w = RNG.standard_normal((3, 5, 4, 9))
    found = norms(x, w, "float32", 2)
    assert found.peak.shape == found.energy.shape == (2, 15, 1, 1)
    peak = sum(np.abs(x[1, 2, c]).max() * np.abs(w[2, 4, c]).sum() for c in range(4))
    energy = sum(np.linalg.norm(x[1, 2, c]) * np.linalg.norm(w[2, 4, c]) for c in range(4))
    assert found.peak[1, 14, 0, 0] == pytest.approx(peak)
    assert found.energy[1, 14, 0, 0] == pytest.approx(energy)
    x[1, 2, 0, 3] = np.nan
    assert np.isfinite(norms(x, w, "float32", 2).peak).all()
    small = norms(np.full((1, 1, 1, 9), 1e-44), np.ones((1, 1, 1, 9)), "float32", 1)
    assert small.peak[0, 0, 0] == pytest.approx(9 * 2.0**-120)
    assert norms(np.full((1, 1, 1, 9), 1e-200), np.ones((1, 1, 1, 9)), "float64", 1).energy[0, 0, 0] > 0
    assert not norms(np.zeros((1, 1, 2, 9)), np.ones((1, 3, 2, 9)), "float32", 1).peak.any()
    assert norms(np.zeros((0, 1, 2, 0)), np.ones((1, 3, 2, 9)), "float32", 1).peak.shape == (0, 3, 1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Winograd(tile=(6, 6), kernel=(3, 3), channels=1), "takes 7 points"),
        (lambda: Winograd(tile=(2,), kernel=(3, 3), channels=1), "positive integers"),
        (lambda: Winograd(tile=(2, 2), kernel=(3, 3), channels=0), "positive integers"),
        (lambda: Fft(size=(12,), kernel=(3,), channels=1), "powers of two"),
        (lambda: Fft(size=(2048, 1024), kernel=(3, 3), channels=1), "2.20 at most"),
        (lambda: Fft(size=(), kernel=(), channels=1), "positive integers"),
    ],
)
def test_declarations_without_a_bound(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_declarations_are_checked() -> None:
    assert declared.numerics(under(F4)).told == "Winograd F(4×4, 3×3)"
    assert declared.numerics(replace(under(TRANSFORM), note="why")).told == "FFT of 16×16: why"
    assert under(F4).narrowing == "the normwise bound of Winograd F(4×4, 3×3)"
    with pytest.raises(TypeError, match="fast algorithm"):
        declared.numerics(under("winograd"))
    with pytest.raises(ValueError, match="no bound for Winograd"):
        declared.numerics(replace(under(F2), tf32=True))
    with pytest.raises(ValueError, match="no bound for FFT"):
        declared.numerics(replace(under(TRANSFORM), intermediate="float16"))


def test_bounds_grow_with_what_is_summed() -> None:
    u = 2.0**-24
    for fast, larger in ((F4, replace(F4, channels=512)), (TRANSFORM, replace(TRANSFORM, size=(64, 64)))):
        assert fast.bound(u).guaranteed < larger.bound(u).guaranteed
    assert replace(F4, channels=10**9).bound(u).guaranteed == inf
    assert TRANSFORM.bound(u).growth == prod(TRANSFORM.size)
