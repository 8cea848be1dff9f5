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


class ArrayEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An array: its spatial size, to be filled from the seed, or its values, written out.

    Values may be nested to the rank (spatial axes only), to rank + 1 (channels first) or to rank + 2 (batch, or output
    channels, first): always in that order, whatever the layout.
    """

    size: Size | None = None
    values: list[Any] | None = None


class KernelEntry(ArrayEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kernel: its spatial size, or the weight's values (output channels, input channels / groups, *kernel)."""

    channels: int | None = None  # input channels that the weight claims, for cases that must be refused


class BiasEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bias written out: one value per output channel, or one for all."""

    values: list[float] | float


class ChannelsEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Channels of the input and of the output, totals over all groups."""

    in_: int = field(name="in", default=1)
    out: int = 1


class MemoryFormatEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the elements of each operand lie in memory."""

    input: MemoryFormat = "contiguous"
    weight: MemoryFormat = "contiguous"
    grad_output: MemoryFormat = "contiguous"


class ExpectEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the answer must be, beside what the reference says.

    `values` and `shape` are of the forward pass, in (N, C, *spatial) order; leading axes of 1 may be left out of
    `values`. `error` names the parameter that is invalid: a backend must refuse the call with a typed error.
    """

    values: list[Any] | None = None
    shape: list[int] | None = None
    error: str | None = None


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case as written, of whatever operation; each operation adds its own keys."""

    name: Name
    rank: Annotated[int, Meta(ge=1, le=3)] | None = None
    batch: int | None = None
    input: ArrayEntry | Size | None = None
    dtype: Dtype = "float32"
    fill: Fill = "integers"
    seed: Annotated[int, Meta(ge=0)] = 0
    layout: Layout = "default"
    memory_format: MemoryFormat | MemoryFormatEntry = "contiguous"
    passes: Annotated[tuple[PassName, ...], Meta(min_length=1)] = ("forward",)
    expect: ExpectEntry = ExpectEntry()
    source: str = ""
    tags: tuple[Name, ...] = ()
    level: LevelName = "default"
    repeats: Annotated[int, Meta(ge=1)] = 1  # how often the network has this layer


class WindowEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation with a sliding window adds."""

    dilation: Size = 1
    padding: PaddingEntry = "valid"


class WeightedEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation adds whose window carries weights."""

    kernel: KernelEntry | Size | None = None
    stride: Size = 1
    channels: int | ChannelsEntry | None = None
    groups: int = 1
    bias: bool | BiasEntry = False


class PoolEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pool adds: a window that steps by its own size unless a stride is said."""

    kernel: Size | None = None
    stride: Size | None = None
    channels: int | None = None
    ceil_mode: bool = False  # a last window that hangs over the padded input counts, if it starts inside
