"""Learning a kernel: plain gradient descent on Σ(conv(x, w) − y)², its loss and kernel compared at every step.

    L_i = Σ (x ⋆ w_i − y)²        w_{i+1} = w_i − η·∇L_i,   ∇L_i = 2·(H·w_i − b),   H = XᵀX,  b = Xᵀy

with X the patches of x, a row an output: a convolution is linear in its kernel. The result is (steps, 1 + taps): in row
i the loss before the step and the kernel after it. The reference is exact: w_i is rational, and so it is computed.

How far a right answer may be off: an error e in w_i goes on as (I − 2ηH)·e, and each step adds what its own rounded
sums may be off by, at most γ·(|w_i| + 2η·|X|ᵀ(|X||w_i| + |y|)). So the magnitude M with |error| ≤ γ_T·M follows

    M_0 = 0,   M_{i+1} = |I − 2ηH|·M_i + |w_i| + 2η·|X|ᵀ(|X|(|w_i| + γM_i) + |y|)

and T counts the roundings of one step: a sum over the taps, one over the outputs, and eight (residual, square, the
factors 2 and η, the learning rate itself, the subtraction). The loss takes over the kernel's error by its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from convsuite.case import Case, Expected, Operand, Padding, Pass, Work
from convsuite.entry import ArrayEntry, Entry, KernelEntry, Size, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes
from convsuite.operations.common import Common, literal, rank_of
from convsuite.operations.window import window_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

NAME = "learn_kernel"
PASSES = (Pass.FORWARD,)
COMPARES = False
DTYPES = ("float64", "float32")  # in 16 bits the bound would say nothing after a few steps
MOST_PRODUCTS = 100_000  # of rational numbers, in XᵀX: a second or so


class LearnKernelEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A descent, as a case file writes it; the window is dense and unpadded, and there is one channel."""

    kernel: Annotated[KernelEntry | Size | None, says("where the descent starts: a size, or values (required)")] = None
    target: Annotated[ArrayEntry, says("what the output should become; else filled as the input is")] = ArrayEntry()
    steps: Annotated[int, Meta(ge=1, le=100), says("how many steps are made and compared")] = 10
    learning_rate: Annotated[float, Meta(gt=0), says("what the gradient is multiplied by")] = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnKernelCase(Case):
    """A descent, resolved."""

    steps: int
    learning_rate: float

    @property
    def outputs(self) -> tuple[int, ...]:
        """(N, 1, *output) of the convolution, the target's shape."""
        sizes = zip(self.input_shape[2:], self.kernel, strict=True)
        return (*self.input_shape[:2], *(n - k + 1 for n, k in sizes))

    @property
    def factors(self) -> tuple[Operand, ...]:
        """Input and target; a descent may start at zeros, which hide nothing."""
        return tuple(o for o in self.operands if o.role != "weight")


ENTRY = LearnKernelEntry
CASE = LearnKernelCase
AXES = (
    axes.RANK,
    axes.dtypes(DTYPES),
    axes.BATCH,
    axes.KERNEL,
    axes.Axis("steps", ("1", "several"), lambda c: ("1" if c.steps == 1 else "several",)),
    axes.LAYOUT,
)
EXCLUSIONS = (axes.ONE_AXIS,)


def resolve(entry: LearnKernelEntry, common: Common) -> LearnKernelCase:
    """Resolve what was written to a case."""
    k = operand.kernel(entry.kernel)
    rank = rank_of(entry.rank, k.size, k.values, "kernel")
    x = operand.single_channel(entry, rank)
    operand.no_weight_format(entry)
    start = literal(k.values, rank, ("kernel", "values")) if k.values is not None else None
    weight = Operand(
        role="weight", shape=start.shape if start else (1, 1, *operand.extent(k.size, rank)), literal=start
    )
    case = LearnKernelCase(
        id=common.id,
        operation=NAME,
        input_shape=x.shape,
        kernel=weight.shape[2:],
        stride=(1,) * rank,
        dilation=(1,) * rank,
        padding=Padding(kinds=("valid",) * rank, pads=((0, 0),) * rank),
        operands=(x, weight),
        steps=entry.steps,
        learning_rate=entry.learning_rate,
        **common.shared(entry, 0),  # `expect.values` are (steps, 1 + taps), whatever the rank
    )
    return _with_target(case, entry.target, rank)


def _with_target(case: LearnKernelCase, entry: ArrayEntry, rank: int) -> LearnKernelCase:
    """Return the case with its target, in the output's shape, between input and weight."""
    if _window(case):
        return case
    written = literal(entry.values, rank, ("target", "values")) if entry.values is not None else None
    if written and written.shape != case.outputs:
        raise CaseError(("target",), f"target is {list(written.shape)}, the output is {list(case.outputs)}")
    x, weight = case.operands
    return replace(case, operands=(x, Operand(role="target", shape=case.outputs, literal=written), weight))


def _window(case: LearnKernelCase) -> list[CaseError]:
    return window_rules(case.input_shape[2:], case.kernel, case.stride, case.dilation, case.padding)


def violations(case: LearnKernelCase) -> list[CaseError]:
    """Return every rule that the case breaks."""
    broken = _window(case)
    if case.operands[-1].shape[:2] != (1, 1):
        broken.append(CaseError(("kernel",), "one channel only: the kernel is what is learned"))
    if case.dtype not in DTYPES:
        broken.append(CaseError(("dtype",), f"the steps are compared in {' and '.join(DTYPES)}, not in {case.dtype}"))
    if case.fill == "special":
        broken.append(CaseError(("fill",), "a descent has no place for NaN and infinities"))
    if not broken and prod(case.outputs) * prod(case.kernel) ** 2 > MOST_PRODUCTS:
        rule = f"{prod(case.outputs)} outputs and {prod(case.kernel)} taps are too many to follow exactly"
        broken.append(CaseError(("input",), rule))
    return broken


def output_shape(case: LearnKernelCase) -> tuple[int, ...]:
    """(steps, 1 + taps): the loss before each step, and the kernel after it."""
    return case.steps, 1 + prod(case.kernel)


def terms(case: LearnKernelCase, pass_: Pass) -> int:
    """T: the roundings of one step, see above."""
    return prod(case.kernel) + prod(case.outputs) + 8


def work(case: LearnKernelCase) -> Work:
    """Two convolutions a step, forward and to the weight; input and target read in each."""
    products = prod(case.outputs) * prod(case.kernel)
    elements = prod(case.input_shape) + prod(case.outputs)
    return Work(flops=4 * products * case.steps, bytes=elements * case.steps * FORMATS[case.dtype].itemsize)


def picture(case: LearnKernelCase) -> LearnKernelCase:
    """Return the window that is slid in each step."""
    return case


def reference(case: LearnKernelCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return the losses and kernels, exactly, and by how much rounding may move them."""
    import numpy as np

    x, y, start = (np.asarray(a, dtype=np.float64) for a in arrays)
    patches = _patches(case, x)
    exact = list(_descent(case, patches, y.ravel(), start.ravel()))
    value = np.array([[float(v) for v in row] for row in exact])
    low = np.array([[float(v - Fraction(float(v))) for v in row] for row in exact])
    return Expected(
        value=value,
        low=low if case.dtype == "float64" else None,
        magnitude=_magnitude(case, patches, y.ravel(), start.ravel(), value),
        terms=terms(case, pass_),
        integral=False,
    )


def _patches(case: LearnKernelCase, x: Real) -> Real:
    """Return X, (outputs, taps)."""
    import numpy as np

    columns = []
    for tap in product(*map(range, case.kernel)):
        here: Any = (..., *(slice(t, t + n) for t, n in zip(tap, case.outputs[2:], strict=True)))
        columns.append(x[here].ravel())
    return np.stack(columns, axis=1)


def _descent(case: LearnKernelCase, patches: Real, target: Real, start: Real) -> Iterator[list[Fraction]]:
    """Yield each step's row: the loss before it, the kernel after it."""
    rows = [[Fraction(v) for v in row] for row in patches.tolist()]
    y, w = [Fraction(v) for v in target.tolist()], [Fraction(v) for v in start.tolist()]
    rate = Fraction(case.learning_rate)
    taps = range(len(w))
    h = [[sum((row[i] * row[j] for row in rows), Fraction(0)) for j in taps] for i in taps]
    b = [sum((row[i] * v for row, v in zip(rows, y, strict=True)), Fraction(0)) for i in taps]
    square = sum((v * v for v in y), Fraction(0))
    for _ in range(case.steps):
        hw = [sum((h[i][j] * w[j] for j in taps), Fraction(0)) for i in taps]
        loss = sum((w[i] * (hw[i] - 2 * b[i]) for i in taps), square)
        w = [w[i] - 2 * rate * (hw[i] - b[i]) for i in taps]
        yield [loss, *w]


def _magnitude(case: LearnKernelCase, patches: Real, target: Real, start: Real, value: Real) -> Real:
    """Return M of every loss and kernel element, from what they are exactly."""
    import numpy as np

    from convsuite.tolerance import gamma

    rate, size, y = case.learning_rate, np.abs(patches), np.abs(target)
    step = np.abs(np.eye(patches.shape[1]) - 2 * rate * patches.T @ patches)
    small = gamma(terms(case, Pass.FORWARD), FORMATS[case.dtype].roundoff)
    magnitude, off, w = np.zeros_like(value), np.zeros_like(start), start
    for row, loss_and_kernel in enumerate(value):
        sums = size @ (np.abs(w) + small * off) + y
        magnitude[row, 0] = _of_loss(np.abs(patches @ w - target), sums + size @ off, small)
        off = step @ off + np.abs(w) + 2 * rate * size.T @ sums
        w = loss_and_kernel[1:]
        magnitude[row, 1:] = off
    return magnitude


def _of_loss(residual: Real, sums: Real, small: float) -> float:
    """Return Σ (2|r|·s + γ·s² + r²) for residuals r that are off by γ·s at most: their squares, and the sum's own."""
    return float((2 * residual * sums + small * sums**2 + (residual + small * sums) ** 2).sum())
