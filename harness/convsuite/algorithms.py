"""Fast algorithms of convolution that a backend may declare, and how far each may be from the exact result.

Winograd's and Fourier's smear a rounding error from anywhere in a tile over all outputs of that tile, also over those
that the operand in question has no part in. So the error of an output is not bounded by its own magnitude Σ|x||w| but
by norms of all that the tile may hold; a bound is a factor, proven here, times such a norm (`convsuite.case.Norms`).
Everything is for any order of summation, fused or not. Pure, and without NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import inf, log2, prod, sqrt

POINTS = (0, 1, -1, 2, -2)  # at which Winograd's polynomials are evaluated: the first outputs + taps − 2 of them
MOST_POSITIONS = 1 << 20  # of a Fourier transform
STAGE = 16  # roundoffs of a stage of a Fourier transform, see Fft


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBound:
    """How far an output may be from the exact result: a factor times a norm.

    `guaranteed` is proven; `expected`, times the norm and with the magnitude's own share added, is what real arithmetic
    stays below. No product on the way is larger than `growth` times the norm. Integer operands make nothing but
    multiples of 1 / `steps` on the way; where that is None, there are others.
    """

    norm: str  # the field of Norms
    guaranteed: float
    expected: float
    growth: float
    roundings: int  # on the longest way from an operand to an output
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winograd:
    """Winograd's minimal filtering F(tile, kernel), nested over the spatial axes; stride and dilation are 1.

    An output tile is Aᵀ[Σ_c (G w_c Gᵀ) ⊙ (Bᵀ d_c B)]A, with the matrices of the Toom–Cook construction at the points
    0, 1, −1, 2, −2 and ∞. Source: Barabasz, Anderson, Soodhalter, Gregg, "Error analysis and improving the accuracy of
    Winograd convolution for deep neural networks", ACM TOMS 46(4), 2020; theirs is the componentwise analysis, here
    with γ_s instead of terms of first order, and with the norms max|d| and Σ|w|:

        |ŷ − y| ≤ γ_s · |Aᵀ| [Σ_c (|G||w_c||Gᵀ|) ⊙ (|Bᵀ||d_c||B|)] |A| ≤ γ_s · g · Σ_c max|x_c| · Σ_t|w_ct|

    with g = ∏ over the axes of max_{p,t} Σ_k |A_pk|·|G_kt|·Σ_s|B_ks|. The number of roundings s from an operand to an
    output is at most C (a product, and the sum over channels) plus, for each of the three transforms, the non-zeros of
    its fullest row (a product each, and the sum; over the axes in turn or at once, whichever is more) and one for
    each axis' rounded coefficients, and one for a bias. (Coefficients of G for both axes at once were rounded three
    times; A and B hold integers, whose two are spare.)

    Attributes
    ----------
    tile
        outputs of a tile on each spatial axis.
    kernel
        taps on each.
    channels
        products summed at each point: C_in / groups forward, C_out / groups to the input.
    """

    tile: tuple[int, ...]
    kernel: tuple[int, ...]
    channels: int
    algorithm: str = field(default="winograd", init=False)  # what a JSON record calls it

    def __post_init__(self) -> None:
        _check(self.tile, self.kernel, self.channels)
        for m, r in zip(self.tile, self.kernel, strict=True):
            if m + r - 2 > len(POINTS):
                raise ValueError(f"F({m}, {r}) takes {m + r - 2} points, known are {len(POINTS)}")

    @property
    def name(self) -> str:
        """F(4×4, 3×3), as the papers write it."""
        return f"Winograd F({_sizes(self.tile)}, {_sizes(self.kernel)})"

    def bound(self, u: float) -> NormBound:
        """Return the bound in an arithmetic of unit roundoff u."""
        axes = [matrices(m, r) for m, r in zip(self.tile, self.kernel, strict=True)]
        transforms = sum(_roundings([getattr(axis, name) for axis in axes]) for name in "ABG")
        growth, spread = prod(axis.growth for axis in axes), prod(axis.spread for axis in axes)
        s = self.channels + transforms + 1
        return NormBound(
            norm="peak",
            guaranteed=growth * _gamma(s, u),
            # a tile's errors add in squares, as if independent; the channels' may all be alike, and add up
            expected=8 * sqrt(log2(s)) * u * spread,
            growth=growth,
            roundings=s,
            steps=prod(axis.steps for axis in axes) if all(axis.dyadic for axis in axes) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fft:
    """Products of discrete Fourier transforms, over all positions of a tile; stride and dilation are 1.

    With N = ∏size = 2^t, a transform by factors of 2, 4 and 8 has a normwise error ‖δX‖₂ ≤ φ·‖X‖₂, φ = (1 + 16u)^t − 1.
    That is Theorem 24.2 of Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., with the constant
    of these factors: a pass of factor R is a matrix with entries of modulus 1 and of norm √R, of whose modulus the norm
    is R; each entry suffers a complex product (2√2·u), a weight that is off by 6u at most, log₂R complex additions (u
    each), and for R = 8 a product by (1 ± i)/√2 (3√2·u), which makes √R·(…) ≤ 16·log₂R roundoffs a pass, terms of
    second order included.

    Then with A = (1 + φ)²·(1 + √2·γ_{2C}) the products' sum P̂ is off by Σ_f|δP_f| ≤ N·(A − 1)·E, where
    E = Σ_c ‖x_c‖₂·‖w_c‖₂ (Cauchy–Schwarz over the frequencies, and Parseval), which is (A − 1)·E in each output. The
    transform back is off by φ·‖P̂‖₂ / √N, and ‖P̂‖₂ ≤ Σ_c‖X̂_c‖₂·max|Ŵ_c|, max|W_c| ≤ Σ|w_c| ≤ √T·‖w_c‖₂ for T taps:

        |ŷ − y| ≤ (A − 1 + φ·(1 + φ)·(1 + √2·γ_{2C})·(√T + φ·√N)) · E

    Attributes
    ----------
    size
        of the transforms, on each spatial axis: powers of two.
    kernel
        taps on each.
    channels
        products summed at each frequency: C_in / groups forward, C_out / groups to the input.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    channels: int
    algorithm: str = field(default="fft", init=False)  # what a JSON record calls it

    def __post_init__(self) -> None:
        _check(self.size, self.kernel, self.channels)
        if any(n & (n - 1) for n in self.size) or prod(self.size) > MOST_POSITIONS:
            raise ValueError(f"the bound is for transforms of powers of two, 2^20 at most, not {_sizes(self.size)}")

    @property
    def name(self) -> str:
        """The transforms' size."""
        return f"FFT of {_sizes(self.size)}"

    def bound(self, u: float) -> NormBound:
        """Return the bound in an arithmetic of unit roundoff u."""
        n, taps, stages = prod(self.size), prod(self.kernel), round(log2(prod(self.size)))
        phi = (1 + STAGE * u) ** stages - 1
        summed = 1 + sqrt(2) * _gamma(2 * self.channels, u)
        there, back = (1 + phi) ** 2 * summed, phi * (1 + phi) * summed * (sqrt(taps) + phi * sqrt(n))
        return NormBound(
            norm="energy",
            guaranteed=(there - 1 + back) * (1 + u),  # and a bias added
            expected=8 * sqrt(log2(2 * n * self.channels)) * u,
            growth=float(n),
            roundings=2 * self.channels + 3 * STAGE * stages,
        )


Fast = Winograd | Fft


@dataclass(frozen=True, slots=True)
class Matrices:
    """Winograd's three of F(m, r), exactly: A is (m, n), G (n, r), B (n, n), as they are multiplied from the left."""

    A: Sequence[Sequence[Fraction]]
    G: Sequence[Sequence[Fraction]]
    B: Sequence[Sequence[Fraction]]

    @property
    def growth(self) -> float:
        """max_{p,t} Σ_k |A_pk|·|G_kt|·Σ_s|B_ks|."""
        sums = [sum(map(abs, row)) for row in self.B]
        taps = range(len(self.G[0]))
        return float(max(sum(abs(a * g[t]) * s for a, g, s in zip(row, self.G, sums, strict=True))
                         for row in self.A for t in taps))  # fmt: skip

    @property
    def spread(self) -> float:
        """The same in squares: max_p √(Σ_k A_pk²·‖G_k‖²·‖B_k‖²)."""
        squares = [sum(g * g for g in gs) * sum(b * b for b in bs) for gs, bs in zip(self.G, self.B, strict=True)]
        return sqrt(max(sum(a * a * s for a, s in zip(row, squares, strict=True)) for row in self.A))

    @property
    def steps(self) -> int:
        """The common denominator of G; A and B hold integers."""
        return max(g.denominator for row in self.G for g in row)

    @property
    def dyadic(self) -> bool:
        """True where every coefficient is an integer divided by a power of two."""
        return all(not g.denominator & (g.denominator - 1) for row in self.G for g in row)


@lru_cache(maxsize=64)
def matrices(m: int, r: int) -> Matrices:
    """Return the matrices of F(m, r) by the construction of Toom and Cook, transposed to a filter.

    Row k of G evaluates the filter at point k, divided by f_k = ∏_{l≠k}(a_k − a_l); row k of B has the coefficients of
    ∏_{l≠k}(z − a_l); A has the powers of the points. The last of each is that of ∞.
    """
    points = [Fraction(p) for p in POINTS[: m + r - 2]]
    others = [[b for b in points if b != a] for a in points]
    f = [prod((a - b for b in rest), start=Fraction(1)) for a, rest in zip(points, others, strict=True)]
    zeros = [Fraction(0)]
    filters = [[a**t / by for t in range(r)] for a, by in zip(points, f, strict=True)]
    return Matrices(
        A=[[*(a**p for a in points), Fraction(int(p == m - 1))] for p in range(m)],
        G=[*filters, [*zeros * (r - 1), Fraction(1)]],
        B=[*([*_polynomial(rest), *zeros] for rest in others), _polynomial(points)],
    )


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of ∏(z − root), that of z^0 first."""
    found = [Fraction(1)]
    for root in roots:
        found = [low - root * high for low, high in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return found


def _roundings(axes: Sequence[Sequence[Sequence[Fraction]]]) -> int:
    """Return how often a transform rounds at most: over the axes one after another, or over all in one sum."""
    fullest = [max(sum(map(bool, row)) for row in axis) for axis in axes]
    return max(sum(fullest), prod(fullest)) + len(axes)


def _gamma(k: float, u: float) -> float:
    return k * u / (1 - k * u) if k * u < 1 else inf


def _check(sizes: tuple[int, ...], kernel: tuple[int, ...], channels: int) -> None:
    numbers = (*sizes, *kernel, channels)
    if len(sizes) != len(kernel) or not sizes or any(type(n) is not int or n < 1 for n in numbers):
        raise ValueError(f"sizes {sizes} for a kernel {kernel} and {channels} channels: positive integers were due")


def _sizes(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
