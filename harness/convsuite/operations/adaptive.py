"""What the adaptive pools share: the number of windows is given, and they cover the input, all of it if there is one.

Of o windows over n positions, window i covers ⌊i·n/o⌋ to ⌈(i + 1)·n/o⌉, the end not included: PyTorch's rule, and
Keras's. Where o does not divide n, neighbours overlap and windows differ in length; where o is more than n, windows
repeat.
"""

from __future__ import annotations

from math import gcd, prod
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from convsuite.case import FLOATS, Case, Padding, Work
from convsuite.entry import Entry, Size, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, pool
from convsuite.operations.common import Common, gradient_rules, rank_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase

    AdaptiveCase: TypeAlias = AdaptiveAvgPoolCase | AdaptiveMaxPoolCase


class AdaptiveEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An adaptive pool as a case file writes it."""

    output: Annotated[Size | None, says("how many windows; 1 is a global pool (required)")] = None
    channels: Annotated[int | None, says("how many; unless given, 1 or as the values say")] = None


class Adaptive:
    """What makes a pool's case adaptive, put before its class; `kernel` is then the longest window on each axis."""

    __slots__ = ()
    input_shape: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Windows on each axis."""
        return self.output

    @property
    def most_met(self) -> int:
        """How many windows the position is in that is in most."""
        import numpy as np

        each = [np.bincount(at[at >= 0]).max(initial=0) for at in self.meetings()]
        return int(prod(each))

    @property
    def taps(self) -> tuple[int, ...]:
        """Windows that start together have taps of their own: as many times the longest as start at one position."""
        each = zip(self.input_shape[2:], self.output, strict=True)
        return tuple(_longest(n, o) * -(-o // n) for n, o in each)

    @property
    def whole(self) -> bool:
        """True for a global pool: one window, over all of the input."""
        return set(self.output) == {1}

    @property
    def even(self) -> bool:
        """True where windows are of one length and do not overlap."""
        return all(n % o == 0 for n, o in zip(self.input_shape[2:], self.output, strict=True))

    def meetings(self) -> list[NDArray[Any]]:
        """See `PoolCase`."""
        return [_covered(n, o) for n, o in zip(self.input_shape[2:], self.output, strict=True)]


AdaptiveT = TypeVar("AdaptiveT", "AdaptiveAvgPoolCase", "AdaptiveMaxPoolCase")


def _output(case: AdaptiveCase) -> tuple[str, ...]:
    """How the windows lie, axis by axis: what is true of any is a value of the case."""
    each = zip(case.input_shape[2:], case.output, strict=True)
    named = {"1" if o == 1 else "more" if o > n else "overlapping" if n % o else "even" for n, o in each}
    return (*named, *(("unequal",) if len(set(case.output)) > 1 else ()))


# further fills, integers, policies of NaN and of ties are the sliding pools' to pair
AXES = (
    axes.RANK,
    axes.BATCH,
    axes.Axis("output", ("1", "even", "overlapping", "more", "unequal"), _output),
    axes.LAYOUT,
    axes.MEMORY_OF_INPUT,
    axes.dtypes(FLOATS),
    axes.fills(("integers", "normal")),
)


def resolve(entry: AdaptiveEntry, common: Common, cls: type[AdaptiveT], name: str, **own: Any) -> AdaptiveT:
    """Resolve what was written to a case of class `cls`; `own` are the operation's own parameters."""
    written = operand.array(entry.input, "input").values
    rank = rank_of(entry.rank, entry.output, written, "output")
    x = operand.input_operand(entry, rank, entry.channels)
    operand.no_weight_format(entry)
    output, ones = operand.extent(entry.output, rank, "output"), (1,) * rank
    fits = len(x.shape) == rank + 2 and min(output) > 0
    case = cls(
        id=common.id,
        operation=name,
        input_shape=x.shape,
        kernel=tuple(map(_longest, x.shape[2:], output)) if fits else ones,
        stride=ones,
        dilation=ones,
        padding=Padding(kinds=("valid",) * rank, pads=((0, 0),) * rank),
        operands=(x,),
        output=output,
        **own,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, pool.output_shape)


def violations(case: AdaptiveCase) -> list[CaseError]:
    """Return every rule that an adaptive pool's windows break."""
    sizes = case.input_shape[2:]
    if len(sizes) != case.rank:
        return [CaseError(("rank",), f"the input has {len(sizes)} spatial axes, the output {case.rank}")]
    broken = []
    if min(case.output) < 1:
        broken.append(CaseError(("output",), f"output must be at least 1 on every axis, not {list(case.output)}"))
    if min(sizes) < 1:
        broken.append(CaseError(("input",), f"there is nothing to pool: the input is {list(sizes)}"))
    return broken + gradient_rules(case)


def picture(case: AdaptiveCase) -> Case | None:
    """Return the sliding window to draw where the windows are even; None where they differ."""
    if not case.even:
        return None
    kernel = case.kernel
    return pool.PoolCase(
        id=case.id,
        operation=case.operation,
        input_shape=case.input_shape,
        kernel=kernel,
        stride=kernel,
        dilation=case.dilation,
        padding=case.padding,
    )


def work(case: AdaptiveCase) -> Work:
    """One operation for each position of each window; input and output once, as bytes."""
    out, planes = pool.output_shape(case), prod(case.input_shape[:2])
    return Work(
        flops=planes * prod(int((at >= 0).sum()) for at in case.meetings()),
        bytes=(prod(case.input_shape) + prod(out)) * FORMATS[case.dtype].itemsize,
    )


def _longest(size: int, output: int) -> int:
    """Return the length of the longest window.

    With n/o in lowest terms, window i starts at (i·n − r)/o, r the rest, and so has ⌈(r + n)/o⌉ positions; as i goes
    on r takes every value below o, the largest of which gives the longest.
    """
    shared = gcd(size, output)
    n, o = size // shared, output // shared
    return -(-(o - 1 + n) // o)


def _covered(size: int, output: int) -> NDArray[Any]:
    """Return the position that each window meets with each tap, (taps, windows); −1 for none.

    Windows that start together have taps of their own, so that no two meet one position with the same.
    """
    import numpy as np

    window, k = np.arange(output), _longest(size, output)
    first, end = window * size // output, -(-(window + 1) * size // output)
    turn = window - np.searchsorted(first, first)  # how many before it start where it does
    tap = np.arange(k * (turn.max() + 1))[:, None] - turn * k
    return np.where((tap >= 0) & (tap < end - first), first + tap, -1)
