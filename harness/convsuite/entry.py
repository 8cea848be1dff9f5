"""What a case file may say: the records from which validation and the JSON Schema both follow.

Shorthand lives here and ends in `casefile`: a `Case` never has any.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Size = int | list[int]
PaddingKind = Literal["valid", "same_upper", "same_lower", "full", "causal", "same"]
AxisPadding = PaddingKind | int | Annotated[list[int], Meta(min_length=2, max_length=2)]
PaddingEntry = PaddingKind | int | list[AxisPadding]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Dtype = Literal["float64", "float32", "float16", "bfloat16", "int32", "int8"]
Fill = Literal["integers", "normal", "wide", "cancelling", "impulse", "ramp", "special"]
Layout = Literal["default", "channels_first", "channels_last"]
MemoryFormat = Literal["contiguous", "channels_last", "sliced", "transposed"]
PassName = Literal["forward", "indices", "grad_input", "grad_weight", "grad_depthwise", "grad_pointwise", "grad_bias"]
LevelName = Literal["smoke", "default", "full", "real", "large"]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", max_length=80)]


def says(text: str) -> Meta:
    """Return what a key means, as the JSON Schema, editors and the reference of case files tell it."""
    return Meta(description=text)


class ArrayEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An array: its spatial size, to be filled from the seed, or its values, written out.

    Values may be nested to the rank (spatial axes only), to rank + 1 (channels first) or to rank + 2 (batch, or output
    channels, first): always in that order, whatever the layout.
    """

    size: Annotated[
        Size | None, says("its spatial size, one number for all axes or one for each; `fill` says with what")
    ] = None
    values: Annotated[
        list[Any] | None,
        says("its values, nested, channels first whatever the layout; leading axes of 1 may be left out"),
    ] = None


class KernelEntry(ArrayEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kernel: its spatial size, or the weight's values (output channels, input channels / groups, *kernel)."""

    channels: Annotated[int | None, says("input channels / groups that it claims, for cases to be refused")] = None


class BiasEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bias written out: one value per output channel, or one for all."""

    values: Annotated[list[float] | float, says("one number for all output channels, or a list of one for each")]


class ChannelsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Channels of the input and of the output, totals over all groups."""

    in_: Annotated[int, says("channels of the input")] = field(name="in", default=1)
    out: Annotated[int, says("channels of the output")] = 1


class MemoryFormatEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the elements of each operand lie in memory."""

    input: Annotated[MemoryFormat, says("of the input")] = "contiguous"
    weight: Annotated[MemoryFormat, says("of the weight")] = "contiguous"
    grad_output: Annotated[MemoryFormat, says("of the gradient that a gradient pass starts from")] = "contiguous"


class ExpectEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the answer must be, beside what the reference says.

    `values` and `shape` are of the forward pass, in (N, C, *spatial) order; leading axes of 1 may be left out of
    `values`. `error` names the parameter that is invalid: a backend must refuse the call with a typed error.
    """

    values: Annotated[
        list[Any] | None, says("the forward pass's answer, (N, C, spatial…); leading axes of 1 may be left out")
    ] = None
    shape: Annotated[list[int] | None, says("the forward pass's shape, (N, C, spatial…)")] = None
    error: Annotated[
        str | None, says("the key that is invalid: a backend must refuse the call, with a typed error")
    ] = None


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case as written, of whatever operation; each operation adds its own keys."""

    name: Annotated[Name, says("the last part of the id; letters, digits, `_`, `.` and `-`")]
    rank: Annotated[
        Annotated[int, Meta(ge=1, le=3)] | None,
        says("how many spatial axes; unless given, as sizes or values say, else 2"),
    ] = None
    batch: Annotated[int | None, says("how many images; unless given, 1 or as the values say")] = None
    input: Annotated[ArrayEntry | Size | None, says("a size, or values (required)")] = None
    dtype: Annotated[Dtype, says("the dtype of operands and answer")] = "float32"
    fill: Annotated[Fill, says("what arrays that are not written out are filled with")] = "integers"
    seed: Annotated[int, Meta(ge=0), says("what fills are drawn from: the same bytes on every machine")] = 0
    layout: Annotated[Layout, says("the order in which the framework is called; `default` is its own")] = "default"
    memory_format: Annotated[
        MemoryFormat | MemoryFormatEntry, says("how operands lie in memory: one for all, or one for each")
    ] = "contiguous"
    passes: Annotated[tuple[PassName, ...], Meta(min_length=1), says("what to compute and judge")] = ("forward",)
    expect: Annotated[ExpectEntry, says("what the answer must be, beside what the reference says")] = ExpectEntry()
    source: Annotated[str, says("free text: where the numbers are from")] = ""
    tags: Annotated[tuple[Name, ...], says("names to select by")] = ()
    level: Annotated[LevelName, says("the first level with it: smoke, default, full, real, large")] = "default"
    repeats: Annotated[
        int, Meta(ge=1), says("how often the network has this layer, for totals of `convsuite bench`")
    ] = 1


class WindowEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation with a sliding window adds."""

    dilation: Annotated[Size, says("the step between taps of the window; 1 is dense")] = 1
    padding: Annotated[
        PaddingEntry,
        says("what is added: a word or a number for all axes, or an entry for each; a pair is (low, high)"),
    ] = "valid"


class WeightedEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation adds whose window carries weights."""

    kernel: Annotated[KernelEntry | Size | None, says("the window: a size, or the weight's values (required)")] = None
    stride: Annotated[Size, says("the step of the window")] = 1
    channels: Annotated[
        int | ChannelsEntry | None,
        says("totals over all groups, one number for both or one each; unless given, 1 or as the values say"),
    ] = None
    groups: Annotated[int, says("parts that share no channels; a divisor of both channel counts")] = 1
    bias: Annotated[bool | BiasEntry, says("`true` to fill one, or its values")] = False


class PoolEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pool adds: a window that steps by its own size unless a stride is said."""

    kernel: Annotated[Size | None, says("the window's size (required)")] = None
    stride: Annotated[Size | None, says("the step of the window; unless given, its size")] = None
    channels: Annotated[int | None, says("how many; unless given, 1 or as the values say")] = None
    ceil_mode: Annotated[
        bool, says("a last window that hangs over counts, if it starts in the input or its low padding")
    ] = False
