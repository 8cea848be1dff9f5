"""What coverage counts: the parameters of an operation, each an axis with a few named values.

A case has one value of an axis, several (its passes), or none where the parameter does not concern it. Each operation
declares its `AXES`, mostly out of those here, and the pairs that no case of it can have, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convsuite.case import DTYPES, FILLS, INTEGERS, LAYOUTS, MEMORY_FORMATS, PADDING_KINDS, PADDING_MODES, Case, Pass
from convsuite.formats import suits


@dataclass(frozen=True, slots=True, order=True)
class Value:
    """One value of one parameter."""

    axis: str
    name: str

    def __str__(self) -> str:
        return f"{self.axis}={self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Pairs that cannot be: any of `firsts` with any of `seconds`."""

    firsts: tuple[Value, ...]
    seconds: tuple[Value, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter: its values, and which of them a case has."""

    name: str
    values: tuple[str, ...]
    of: Callable[[Any], tuple[str, ...]]


def values(axis: str, *names: str) -> tuple[Value, ...]:
    """Return some values of one axis."""
    return tuple(Value(axis, name) for name in names)


def yes_no(name: str, of: Callable[[Any], bool]) -> Axis:
    """Return the axis of a parameter that is on or off."""
    return Axis(name, ("no", "yes"), lambda c: ("yes" if of(c) else "no",))


def passes(operation: tuple[Pass, ...]) -> Axis:
    """Return the axis of an operation's passes."""
    return Axis("pass", tuple(p.value for p in operation), lambda c: tuple(p.value for p in c.passes))


def dtypes(names: tuple[str, ...]) -> Axis:
    """Return the axis of some dtypes; others that a case may have are not paired with all else."""
    return Axis("dtype", names, lambda c: (c.dtype,) if c.dtype in names else ())


def ranks(names: tuple[str, ...]) -> Axis:
    """Return the axis of some ranks; others are not paired with all else."""
    return Axis("rank", names, lambda c: (str(c.rank),) if str(c.rank) in names else ())


def fills(names: tuple[str, ...]) -> Axis:
    """Return the axis of some fills; a case with values written out has none, others are not paired with all else."""
    return Axis(
        "fill", names, lambda c: (c.fill,) if c.fill in names and not any(o.literal for o in c.operands) else ()
    )


def _batch(case: Case) -> tuple[str, ...]:
    """An empty batch is a boundary, not a kind of batch to be paired with everything."""
    return {0: (), 1: ("1",)}.get(case.input_shape[0], ("several",))


def steps(numbers: tuple[int, ...]) -> tuple[str, ...]:
    """Return the value of a stride or dilation."""
    if len(set(numbers)) > 1:
        return ("unequal",)
    return ("1",) if numbers[0] == 1 else ("over 1",)


def _kernel(case: Case) -> tuple[str, ...]:
    if len(set(case.kernel)) > 1:
        return ("unequal",)
    size = case.kernel[0]
    return ("1",) if size == 1 else ("odd",) if size % 2 else ("even",)


def _padding(case: Case) -> tuple[str, ...]:
    padding = case.padding
    if len(set(padding.kinds)) > 1:
        return ("unequal",)
    if padding.kinds[0] != "explicit":
        return (padding.kinds[0],)
    if padding.negative:
        return ("negative",)
    return ("symmetric",) if padding.symmetric else ("asymmetric",)


def _memory(role: str) -> Callable[[Case], tuple[str, ...]]:
    return lambda case: tuple(o.memory_format for o in case.operands if o.role == role)


_NAMED_PADS = tuple(k for k in PADDING_KINDS if k != "explicit")
STEPS = ("1", "over 1", "unequal")

RANK = ranks(("1", "2", "3"))
DTYPE = dtypes(DTYPES)
BATCH = Axis("batch", ("1", "several"), _batch)
KERNEL = Axis("kernel", ("1", "odd", "even", "unequal"), _kernel)
STRIDE = Axis("stride", STEPS, lambda c: steps(c.stride))
DILATION = Axis("dilation", STEPS, lambda c: steps(c.dilation))
PADDING = Axis("padding", (*_NAMED_PADS, "symmetric", "asymmetric", "negative", "unequal"), _padding)
PADDING_MODE = Axis("padding_mode", PADDING_MODES, lambda c: (c.padding.mode,))
LAYOUT = Axis("layout", LAYOUTS, lambda c: (c.layout,))
FILL = fills(FILLS)
MEMORY_OF_INPUT = Axis("memory of input", MEMORY_FORMATS, _memory("input"))
MEMORY_OF_WEIGHT = Axis("memory of weight", MEMORY_FORMATS, _memory("weight"))
MEMORY_OF_GRAD_OUTPUT = Axis("memory of grad_output", MEMORY_FORMATS, _memory("grad_output"))
BIAS = yes_no("bias", lambda c: c.bias)
FLIP = yes_no("flip", lambda c: c.flip)

GRADIENTS = values("pass", *(p.value for p in Pass if p.gradient))
_GRAD_OUTPUT = values("memory of grad_output", *MEMORY_FORMATS)
_ALIKE = tuple(
    Value(axis, "unequal") for axis in ("kernel", "stride", "dilation", "padding", "output_padding", "output")
)

# an operation's coverage takes no notice of pairs of axes that it does not have
NO_INTEGER_GRADIENTS = Exclusion(
    firsts=values("dtype", *INTEGERS), seconds=(*GRADIENTS, *_GRAD_OUTPUT), reason="integers have no gradients"
)
NO_SUCH_NUMBERS = tuple(
    Exclusion(
        firsts=values("dtype", dtype),
        seconds=values("fill", *(fill for fill in FILLS if not suits(fill, dtype))),
        reason=f"{dtype} cannot hold such numbers",
    )
    for dtype in INTEGERS
)
NO_GRAD_OUTPUT = Exclusion(
    firsts=values("pass", Pass.FORWARD.value, Pass.INDICES.value),
    seconds=_GRAD_OUTPUT,
    reason="the forward pass takes no output gradient",
)
NO_GRAD_BIAS = Exclusion(
    firsts=values("bias", "no"),
    seconds=values("pass", Pass.GRAD_BIAS.value),
    reason="without a bias there is no gradient to it",
)
ONE_AXIS = Exclusion(firsts=values("rank", "1"), seconds=_ALIKE, reason="one axis has no other to differ from")
NOTHING_PADDED = Exclusion(
    firsts=values("padding", "valid"),
    seconds=values("padding_mode", *(mode for mode in PADDING_MODES if mode != "zeros")),
    reason="nothing is padded, so a mode says nothing",
)
EVERYWHERE = (NO_INTEGER_GRADIENTS, *NO_SUCH_NUMBERS, NO_GRAD_OUTPUT, ONE_AXIS)
