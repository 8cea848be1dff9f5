"""One case on a page: every parameter in the field's words, its geometry drawn, its values where they are few."""

from __future__ import annotations

import shlex
from dataclasses import fields
from math import isfinite, prod
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from convsuite import operations
from convsuite.backend import find
from convsuite.case import Case, Literal, Operand, Pass
from convsuite.drawing import NAMES, WIDTH, Axis, axes, draw_axes, draw_plane, legend, pads_in_words
from convsuite.operations import conv_transpose, local_conv, window
from convsuite.operations.conv_transpose import ConvTransposeCase
from convsuite.operations.receptive_field import ReceptiveFieldCase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from convsuite.errors import CaseError

Rows = list[tuple[str, str]]
ENGINE = "numpy_im2col"
ENGINE_VARIANTS = (f"{ENGINE}:winograd", f"{ENGINE}:fft")
SMALL = 64  # elements of an array that is printed

_FILLS = {
    "integers": "non-zero integers, so small that every sum is exact",
    "normal": "normally distributed reals",
    "wide": "reals whose exponents lie far apart",
    "cancelling": "large products that sum to little",
    "impulse": "a single 1 in the input under a ramp of weights: shows where each tap goes",
    "ramp": "1, 2, 3, … row by row",
    "special": "integers, with NaN, infinities, -0 and a subnormal among the input",
}
_LAYOUTS = {
    "default": "the framework's own",
    "channels_first": "the framework is called with (N, C, *spatial)",
    "channels_last": "the framework is called with (N, *spatial, C)",
}
_TERMS = {  # what K counts where that is no product
    "learn_kernel": "roundings of one step",
    "lp_pool": "values in one sum; the bound also counts the roundings of powers and roots",
}
_KINDS = {
    "causal": ", so that no output sees a later input",
    "full": ", so that every overlap counts",
}


def describe(case: Case, folders: Sequence[str] = ()) -> str:
    """Return the page as plain text, at most 100 columns wide where its words allow.

    `folders` are those that the case was found in, where it is not one that convsuite ships.
    """
    broken = operations.of(case).violations(case)
    parts = [[case.id], _table(_parameters(case, broken)), _geometry(case, broken), _values(case, broken)]
    found = "".join(f" --cases {shlex.quote(folder)}" for folder in folders)
    parts.append([f"run it: convsuite check '{case.id}'{found}"])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def print_case(case: Case, console: Console, folders: Sequence[str] = ()) -> None:
    """Print the page, with colour on a terminal."""
    from rich.text import Text

    text = Text(describe(case, folders))
    for pattern, style in (
        (r"(?m)\A.*$", "bold"),
        (r"(?m)^  [a-z][a-zA-Z0-9 ]+?(?=  )", "cyan"),
        (r"(?m)^(axis|the padded plane|input|weight|bias|grad_|output|expected|run it).*$", "bold"),
        (r"\bw\d+\b|■|\[ *[\d,]+\](?=[ \n])", "green"),
        (r"(?m)^.*read by no window$|^  must be refused.*$", "yellow"),
    ):
        text.highlight_regex(pattern, style)
    console.print(text, end="", soft_wrap=True)


def print_engine(case: Case, console: Console) -> None:
    """Print which path our own engine takes in each pass of a case, and why so; its variants' where it is another."""
    from rich.text import Text

    lines = ["", ENGINE, *(_paths(ENGINE, case) or ["  it has no choice here"])]
    for name in ENGINE_VARIANTS:
        rows = _paths(name, case)
        lines += ["", name, *rows] if rows else []
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _paths(name: str, case: Case) -> list[str]:
    """Return what the engine tells of each pass; it needs NumPy alone, so that it may run in this process."""
    backend = find(name).load()()
    told = [] if case.expect.error else [(pass_.value, backend.explain(case, pass_)) for pass_ in case.passes]
    rows = [row for row in told if row[1]]
    return _table(rows) if rows else []


def _parameters(case: Case, broken: list[CaseError]) -> Rows:
    return [
        ("written in", f"{case.origin.file}:{case.origin.line}"),
        ("operation", case.operation),
        *((o.role, _operand(o, case)) for o in case.operands),
        *(_stack(case) if isinstance(case, ReceptiveFieldCase) else [*_window(case), *_own(case), *_padding(case)]),
        ("dtype", case.dtype),
        ("fill", _fill(case)),
        ("layout", f"{case.layout}: {_LAYOUTS[case.layout]}"),
        ("memory", _memory(case)),
        ("passes", ", ".join(case.passes)),
        *(_refusal(case, broken) if broken or case.expect.error else _output(case)),
        ("level", case.level),
        *([("repeats", f"{case.repeats} layers of the network")] if case.repeats > 1 else []),
        ("tags", ", ".join(case.tags) or "none"),
        ("source", case.source or "none given"),
    ]


def _operand(operand: Operand, case: Case) -> str:
    if operand.role == "weight" and case.operation == local_conv.NAME:
        names = ("C_out", "C_in", *(f"k{n}" for n in _names(case.rank)), *(f"out{n}" for n in _names(case.rank)))
        shape = _named(operand.shape, names)
    else:
        shape = _shape(operand.shape, operand.role, transposed=case.operation == conv_transpose.NAME)
    return f"{shape}{'  written out' if operand.literal else ''}"


def _shape(shape: tuple[int, ...], role: str, transposed: bool = False) -> str:
    """Return a shape with each axis named: `(1, 3, 8, 8)  N=1 C=3 H=8 W=8`."""
    spatial = _names(len(shape) - 2)
    channels = ("C_in", "C_out/groups") if transposed else ("C_out", "C_in/groups")
    names = {"weight": (*channels, *(f"k{n}" for n in spatial)), "bias": ("C_out",)}.get(role, ("N", "C", *spatial))
    return _named(shape, names)


def _named(shape: tuple[int, ...], names: tuple[str, ...]) -> str:
    if len(names) != len(shape):
        return f"{shape}"
    return f"{shape}  " + " ".join(f"{name}={n}" for name, n in zip(names, shape, strict=True))


def _names(rank: int) -> tuple[str, ...]:
    return NAMES.get(rank, tuple(f"axis{i}" for i in range(max(rank, 0))))


def _window(case: Case) -> Rows:
    rows = [
        ("kernel", _per_axis(case.kernel)),
        ("stride", _per_axis(case.stride)),
        ("dilation", _per_axis(case.dilation) + (" (dense)" if set(case.dilation) == {1} else "")),
    ]
    if min(*case.kernel, *case.dilation) > 0:
        spans = tuple(window.span(k, d) for k, d in zip(case.kernel, case.dilation, strict=True))
        rows.append(("effective kernel", f"{_per_axis(spans)}, from its first tap to its last"))
    return rows


def _stack(case: ReceptiveFieldCase) -> Rows:
    """Return a line for each layer, from 0 as error messages count them, and what is asked of the whole stack."""
    return [
        *((f"layer {number}", _layer(layer)) for number, layer in enumerate(case.layers)),
        ("padding mode", case.padding.mode),
        ("field", f"{_per_axis(case.extent)}, from the first input that may matter to the last"),
        ("of the output at", f"{list(case.at)}"),
    ]


def _layer(layer: Case) -> str:
    kinds, pads = layer.padding.kinds, layer.padding.pads
    dense, padded = set(layer.dilation) == {1}, any(map(any, pads))
    parts = [
        f"kernel {_per_axis(layer.kernel)}",
        f"stride {_per_axis(layer.stride)}",
        f"dilation {_per_axis(layer.dilation)}" if not dense else "",
        f"padding {' × '.join(kinds if len(set(kinds)) > 1 else kinds[:1])}"
        + (f" {[list(each) for each in pads]}" if padded else ""),
    ]
    return f"of {_per_axis(layer.input_shape[2:])}: {', '.join(filter(None, parts))}"


def _per_axis(numbers: tuple[int, ...]) -> str:
    return " × ".join(map(str, numbers))


def _own(case: Case) -> Rows:
    """Return the parameters that the operation adds to those of every case."""
    shared = {f.name for f in fields(Case)} | {"out_channels"}  # the output's shape tells it
    named = [(f.name, getattr(case, f.name)) for f in fields(case) if f.name not in shared]
    return [
        (name.replace("_", " "), _own_words(case, name, value))
        for name, value in named
        if not (name == "bias" and value)
    ]


def _own_words(case: Case, name: str, value: Any) -> str:
    channels = case.input_shape[1]
    match name, value:
        case "bias", False:
            return "none"
        case "flip", False:
            return "no: cross-correlation, which frameworks call convolution"
        case "flip", True:
            return "yes: the true convolution, the kernel runs backwards on every axis"
        case "output_padding", _:
            return _per_axis(value)
        case "groups", int() if value > 1 and channels == value:
            return f"{value}: depthwise, one input channel each"
        case "groups", int() if value > 1 and channels % value == 0:
            return f"{value}, of {channels // value} input channels each"
        case _, bool():
            return "yes" if value else "no"
    return str(value)


def _padding(case: Case) -> Rows:
    padding = case.padding
    sign = -1 if isinstance(case, ConvTransposeCase) else 1  # there it is what is cut off
    rows = [
        (f"padding {name}", f"{kind}: {pads_in_words(*(sign * p for p in pads))}{_KINDS.get(kind, '')}")
        for name, kind, pads in zip(_names(case.rank), padding.kinds, padding.pads, strict=True)
    ]
    mode = "none: padding is never the largest" if operations.of(case).COMPARES else padding.mode
    return [*rows, ("padding mode", mode)]


def _fill(case: Case) -> str:
    filled = [o.role for o in case.operands if o.literal is None]
    if not filled:
        return "none: every operand is written out"
    for_ = "" if len(filled) == len(case.operands) else f", for {' and '.join(filled)}"
    return f"{case.fill}, seed {case.seed}{for_}: {_FILLS[case.fill]}"


def _memory(case: Case) -> str:
    if not case.memory_formats:
        return "contiguous"
    return ", ".join(f"{o.role} {o.memory_format}" for o in case.operands)


def _refusal(case: Case, broken: list[CaseError]) -> Rows:
    invalid = [("because", str(error)) for error in broken]
    return [("must be refused", f"{case.expect.error or broken[0].key[0]} is invalid: a typed error is due"), *invalid]


def _output(case: Case) -> Rows:
    operation = operations.of(case)
    work = operation.work(case)
    rows = [("output", _shape(operation.output_shape(case), "output"))]
    rows += _formulas(case)
    counted = _TERMS.get(case.operation, "products in one sum")
    rows.append(("terms K", ", ".join(f"{p} {operation.terms(case, p)}" for p in case.passes) + f" ({counted})"))
    rows.append(("work", f"{_flops(work.flops)}, {_bytes(work.bytes)} moved at least (forward)"))
    if case.expect.shape or case.expect.values:
        said = "values" if case.expect.values else f"shape {case.expect.shape}"
        rows.append(("expects", f"{said}, written out in the case file"))
    return rows


def _formulas(case: Case) -> Rows:
    """Return how each axis' output comes about, where the outputs are the windows that slide."""
    operation = operations.of(case)
    pictured = operation.picture(case)
    if isinstance(case, ConvTransposeCase):
        return _transposed_formulas(case)
    if isinstance(case, ReceptiveFieldCase) and len(case.layers) > 1:
        return []
    drawn = axes(pictured) if pictured else ()
    if tuple(a.windows for a in drawn) != operation.output_shape(case)[2:]:
        return []
    return [(f"output {a.name}", _formula(a)) for a in drawn]


def _transposed_formulas(case: ConvTransposeCase) -> Rows:
    """Return (n − 1)·stride + span − low − high + output_padding for each axis, with the numbers in it."""
    rows = []
    parts = zip(
        _names(case.rank), axes(conv_transpose.picture(case)), case.padding.pads, case.output_padding, strict=True
    )
    for name, axis, pads, more in parts:
        crops = "".join(f" {'-' if n > 0 else '+'} {abs(n)}" for n in pads)
        text = f"({axis.windows} - 1) * {axis.stride} + {axis.span}{crops} + {more} = {axis.size}"
        rows.append((f"output {name}", text))
    return rows


def _formula(axis: Axis) -> str:
    """Return floor((n + low + high − span) / stride) + 1 with the numbers in it; n grows by what hangs over."""
    added = (axis.low, axis.high, *([axis.hanging] if axis.hanging else []))
    pads = "".join(f" {'-' if n < 0 else '+'} {abs(n)}" for n in added)
    return f"floor(({axis.size}{pads} - {axis.span}) / {axis.stride}) + 1 = {axis.windows}"


def _flops(flops: int) -> str:
    return _scaled(flops, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"))


def _bytes(count: int) -> str:
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def _scaled(count: int, step: int, units: tuple[str, ...]) -> str:
    """Return a count in the largest unit of which there is at least one, to three digits."""
    value, unit = float(count), 0
    while value >= step and unit < len(units) - 1:
        value, unit = value / step, unit + 1
    digits = 0 if not unit or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {units[unit]}"


def _table(rows: Rows) -> list[str]:
    """Return aligned lines; what is too long goes on below, words unbroken so that they can be copied."""
    wide = max(len(name) for name, _ in rows)
    lines = []
    for name, value in rows:
        first, *more = wrap(value, WIDTH - wide - 4, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"  {name:<{wide}}  {first}".rstrip(), *(f"  {'':<{wide}}  {line}" for line in more)]
    return lines


def _geometry(case: Case, broken: list[CaseError]) -> list[str]:
    """Return the drawing of every axis, and of the plane where there are two; nothing where no window can slide."""
    pictured = None if broken else operations.of(case).picture(case)
    if pictured is None:
        return []
    drawn = axes(pictured)
    lines = wrap(legend(drawn), WIDTH, break_long_words=False, break_on_hyphens=False)
    plane = draw_plane(*drawn) if case.rank == 2 else []
    return [*_caveat(case), *draw_axes(drawn), *([""] if plane else []), *plane, "", *lines]


def _caveat(case: Case) -> list[str]:
    """Return the words that what is drawn is not the operation itself, where it is not."""
    if isinstance(case, ReceptiveFieldCase) and len(case.layers) > 1:
        return [f"drawn is layer 0, the first of {len(case.layers)}", ""]
    if not isinstance(case, ConvTransposeCase):
        return []
    text = (
        "drawn is the convolution that this one is the adjoint of: its inputs x are the outputs here, its outputs y "
        "the inputs; y0 is added to every x in its row, times the element of the kernel that stands there"
    )
    return [*wrap(text, WIDTH), ""]


def _values(case: Case, broken: list[CaseError]) -> list[str]:
    """Return operands and expected results where all are small; else why they are not printed."""
    if broken or case.expect.error:
        return []
    operation = operations.of(case)
    sizes = {o.role: prod(o.shape) for o in case.operands} | {"output": prod(operation.output_shape(case))}
    largest = max(sizes, key=lambda role: sizes[role])
    if sizes[largest] > SMALL:
        told = f"{largest} has {sizes[largest]} elements"
        return [f"values: not printed, {told}; they are where no array has more than {SMALL}"]
    from convsuite.operands import fill

    arrays = fill(case)
    blocks = [_array(o.role, array, case.rank) for o, array in zip(case.operands, arrays, strict=True)]
    for pass_ in case.passes:
        value = _rounded(operation.reference(case, arrays, pass_).value, case.dtype)
        blocks.append(_array(f"expected {'output' if pass_ is Pass.FORWARD else pass_}", value, case.rank))
        if pass_ is Pass.FORWARD and case.expect.values is not None:
            blocks[-1] += _written(case, case.expect.values, value)
    return [line for block in blocks for line in ("", *block)][1:]


def _rounded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return values as the dtype holds them; what an integer sum comes to is told as it is, in range or not."""
    from convsuite.dtypes import round_to
    from convsuite.formats import is_integer

    return values if is_integer(dtype) else round_to(values, dtype)


def _written(case: Case, literal: Literal, value: NDArray[Any]) -> list[str]:
    """Return that the case file's own values are the reference's, or else those values."""
    import numpy as np

    written = _rounded(np.asarray(literal.values, dtype=np.float64).reshape(literal.shape), case.dtype)
    if written.shape == value.shape and np.array_equal(written, value, equal_nan=True):
        return ["  as the case file says"]
    return ["", *_array("the case file says otherwise:", written, case.rank)]


def _array(name: str, array: NDArray[Any], rank: int) -> list[str]:
    """Return an array as a case file may write it: leading axes of 1 are left out, the spatial ones stay."""
    import numpy as np

    title = f"{name} {array.shape}"
    if not array.size:
        return [f"{title}: no elements"]
    while array.ndim > rank and array.shape[0] == 1:
        array = array[0]
    numbers = [float(v) for v in array.ravel()]
    texts = [_number(v) for v in numbers]
    if any(isfinite(v) and float(text) != v for v, text in zip(numbers, texts, strict=True)):
        title += ", to 6 digits"
    wide = max(map(len, texts))
    text = np.array2string(
        np.asarray(texts, dtype=object).reshape(array.shape),
        separator=", ",
        max_line_width=WIDTH - 2,
        threshold=SMALL + 1,
        formatter={"all": lambda t: f"{t:>{wide}}"},
    )
    return [title, *(f"  {line}".rstrip() for line in text.splitlines() if line.strip())]


def _number(value: float) -> str:
    """Return a number to 6 digits, as YAML spells it: .nan, .inf, -0.0."""
    if value != value:
        return ".nan"
    if abs(value) == float("inf"):
        return ".inf" if value > 0 else "-.inf"
    return "-0.0" if value == 0 and str(value)[0] == "-" else f"{value:.6g}"
