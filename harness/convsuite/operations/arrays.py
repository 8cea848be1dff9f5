"""The arrays of an entry to operands: sizes or values, channels, bias, memory formats; shared by every operation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convsuite.case import Literal, Operand
from convsuite.entry import ArrayEntry, BiasEntry, ChannelsEntry, Entry, KernelEntry, MemoryFormatEntry, WeightedEntry
from convsuite.errors import CaseError
from convsuite.operations import window
from convsuite.operations.common import literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from convsuite.case import CaseT


def array(entry: ArrayEntry | int | list[int] | None, key: str) -> ArrayEntry:
    """Return an array's entry with its shorthand ended: it has a size, or values."""
    match entry:
        case None:
            raise CaseError((key,), f"{key} is missing: give its `size` or its `values`")
        case int() | list():
            return ArrayEntry(size=entry)
        case ArrayEntry(size=None, values=None):
            raise CaseError((key,), f"{key} needs a `size` or `values`")
        case ArrayEntry(size=size, values=values) if size is not None and values is not None:
            raise CaseError((key,), f"{key} has both `size` and `values`: the values say the size")
    return entry


def kernel(entry: KernelEntry | int | list[int] | None) -> KernelEntry:
    """Return a weight's entry with its shorthand ended."""
    if entry is None or isinstance(entry, (int, list)):
        return KernelEntry(size=array(entry, "kernel").size)
    array(entry, "kernel")
    return entry


def extent(entry: int | list[int] | None, rank: int, key: str = "kernel") -> tuple[int, ...]:
    """Return a size with one number for each spatial axis."""
    return window.per_axis(needed(entry, key), rank, key)


def needed(size: int | list[int] | None, key: str) -> int | list[int]:
    """Return a size that must be there."""
    if size is None:
        raise CaseError((key,), f"{key} is missing: give its spatial size")
    return size


def sizes(size: int | list[int] | None, entry: Entry, rank: int) -> tuple[int, ...]:
    """Return the input's spatial sizes; a list of another length is the case of a wrong rank, to be refused."""
    size = needed(size, "input")
    if isinstance(size, list) and entry.expect.error == "rank":
        return tuple(size)
    return window.per_axis(size, rank, "input")


def batch(entry: Entry) -> int:
    """Return the batch: 1 unless it is said."""
    return 1 if entry.batch is None else entry.batch


def input_literal(entry: Entry, rank: int) -> Literal | None:
    """Return the input's values, where they are written out."""
    x = array(entry.input, "input")
    return literal(x.values, rank, ("input", "values")) if x.values is not None else None


def input_operand(entry: Entry, rank: int, channels: int | None) -> Operand:
    """Return the input; `channels` as they are said, 1 where they are not."""
    x, written = array(entry.input, "input"), input_literal(entry, rank)
    shape = (
        written.shape if written else (batch(entry), 1 if channels is None else channels, *sizes(x.size, entry, rank))
    )
    if entry.batch not in (None, shape[0]):
        raise CaseError(("batch",), f"batch is {entry.batch}, the values written out have {shape[0]}")
    if channels not in (None, shape[1]):
        raise CaseError(("channels",), f"channels are {channels}, the values written out have {shape[1]}")
    return Operand(role="input", shape=shape, literal=written, memory_format=formats(entry).input)


def single_channel(entry: Entry, rank: int) -> Operand:
    """Return the input of an operation that takes one channel."""
    written = input_literal(entry, rank)
    if written and written.shape[1] != 1:
        raise CaseError(
            ("input", "values"), f"there is one channel here, the values written out have {written.shape[1]}"
        )
    return input_operand(entry, rank, 1)


def channels(entry: WeightedEntry, x: Literal | None, w: Literal | None, into: int = 1) -> ChannelsEntry:
    """Return the channels of input and output, as said or as the values have them.

    `into` is the axis of the weight that takes the input's channels of a group: 1, or 0 in a transposed convolution.
    """
    if w is None:
        return agreed(entry.channels, x, None)
    # the axis that counts a group's channels only is multiplied by the groups; axis 0 has them all
    of_weight = (w.shape[0], w.shape[1] * entry.groups)
    return agreed(entry.channels, x, ChannelsEntry(in_=of_weight[into], out=of_weight[1 - into]))


def agreed(said: int | ChannelsEntry | None, x: Literal | None, of_weight: ChannelsEntry | None) -> ChannelsEntry:
    """Return the channels of input and output: the values' where there are some, which must be those that are said."""
    said = ChannelsEntry(in_=said, out=said) if isinstance(said, int) else said
    found = of_weight or said or ChannelsEntry()
    if x:
        found = ChannelsEntry(in_=x.shape[1], out=found.out)
    if said and said != found:
        rule = f"channels are {said.in_} and {said.out}, the values written out have {found.in_} and {found.out}"
        raise CaseError(("channels",), rule)
    return found


def bias(entry: bool | BiasEntry, count: int) -> tuple[Operand, ...]:
    """Return the bias, one value an output channel, where there is one."""
    if entry is False:
        return ()
    return (Operand(role="bias", shape=(count,), literal=_bias_literal(entry, count)),)


def formats(entry: Entry) -> MemoryFormatEntry:
    """Return every operand's memory format."""
    said = entry.memory_format
    if isinstance(said, MemoryFormatEntry):
        return said
    return MemoryFormatEntry(input=said, weight=said, grad_output=said)


def no_weight_format(entry: Entry) -> None:
    """Refuse a weight's memory format in an operation that has none."""
    if isinstance(entry.memory_format, MemoryFormatEntry) and entry.memory_format.weight != "contiguous":
        raise CaseError(("memory_format", "weight"), "this operation has no memory format of a weight")


def with_grad_output(case: CaseT, entry: Entry, shape: tuple[int, ...]) -> CaseT:
    """Return the case with the output's gradient as its last operand."""
    grad = Operand(role="grad_output", shape=shape, memory_format=formats(entry).grad_output)
    return replace(case, operands=(*case.operands, grad))


def with_gradient(
    case: CaseT,
    entry: Entry,
    violations: Callable[[CaseT], list[CaseError]],
    output_shape: Callable[[CaseT], tuple[int, ...]],
) -> CaseT:
    """Return the case, with the output's gradient if one is asked for and the case breaks no rule."""
    if not case.wants_gradient or violations(case):
        return case
    return with_grad_output(case, entry, output_shape(case))


def _bias_literal(entry: bool | BiasEntry, count: int) -> Literal | None:
    if isinstance(entry, bool):
        return None
    values = entry.values if isinstance(entry.values, list) else [entry.values] * count
    if len(values) != count:
        raise CaseError(("bias", "values"), f"bias has {len(values)} values for {count} output channels")
    return Literal(shape=(count,), values=tuple(float(v) for v in values))
