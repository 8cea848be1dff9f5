"""Receptive field: which inputs can affect one output of a stack of convolutions, and by how many paths.

Every weight is 1, so that the gradient of one output counts the paths to each input, and is 0 exactly outside the
receptive field. Paths on one axis do not depend on the other axes: with P_l[p, q] = 1 where output p of layer l reads
q, the counts are the product of the P_l of that axis, and of the plane their outer product. The extent of the field is

    r = 1 + Σ_l (k_l − 1)·d_l·∏_{m<l} s_m

(Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks"), cut to the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Struct

from convsuite.case import FLOATS, Case, Expected, Literal, Operand, Padding, Pass, Work
from convsuite.entry import Entry, PaddingEntry, PassName, Size, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, conv, window
from convsuite.operations.common import Common, gradient_rules, rank_of
from convsuite.operations.conv import ConvCase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "receptive_field"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT)
COMPARES = False


class LayerEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One convolution of the stack, first to last; one channel, weights of 1."""

    kernel: Annotated[Size, says("the window's size (required)")]
    stride: Annotated[Size, says("the step of the window")] = 1
    dilation: Annotated[Size, says("the step between taps of the window; 1 is dense")] = 1
    padding: Annotated[
        PaddingEntry, says("a word or a number for all axes, or an entry for each; a pair is (low, high)")
    ] = "valid"


class ReceptiveFieldEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack, as a case file writes it."""

    layers: Annotated[tuple[LayerEntry, ...], says("the stack's convolutions, first to last (required)")] = ()
    at: Annotated[Size | None, says("the output that is asked about, from 0; else the one in the middle")] = None
    field: Annotated[
        Size | None, says("how far the field reaches, as somebody else says; the formula must say the same")
    ] = None
    passes: Annotated[tuple[PassName, ...], says("what to compute and judge")] = ("forward", "grad_input")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveFieldCase(Case):
    """A stack, resolved. What a `Case` says of a window is said of the first layer."""

    layers: tuple[ConvCase, ...]
    at: tuple[int, ...]
    field: tuple[int, ...] | None = None

    @property
    def extent(self) -> tuple[int, ...]:
        """r: positions from the first input to the last that can affect one output, on each axis."""
        spans = [1] * self.rank
        steps = [1] * self.rank
        for layer in self.layers:
            for axis, (k, s, d) in enumerate(zip(layer.kernel, layer.stride, layer.dilation, strict=True)):
                spans[axis] += (k - 1) * d * steps[axis]
                steps[axis] *= s
        return tuple(spans)


def _of_layers(axis: axes.Axis) -> axes.Axis:
    """Return the axis as of a stack: the values of all its layers."""
    return axes.Axis(axis.name, axis.values, lambda c: tuple(sorted({v for layer in c.layers for v in axis.of(layer)})))


ENTRY = ReceptiveFieldEntry
CASE = ReceptiveFieldCase
AXES = (
    axes.RANK,
    axes.dtypes(FLOATS),
    *map(_of_layers, (axes.KERNEL, axes.STRIDE, axes.DILATION, axes.PADDING)),
    axes.LAYOUT,
    axes.passes(PASSES),
)
EXCLUSIONS = (axes.ONE_AXIS,)


def resolve(entry: ReceptiveFieldEntry, common: Common) -> ReceptiveFieldCase:
    """Resolve what was written to a case: each layer to a convolution of the one before it."""
    written = operand.array(entry.input, "input")
    rank = rank_of(entry.rank, written.size, written.values, "input")
    x = operand.single_channel(entry, rank)
    operand.no_weight_format(entry)
    shared = common.shared(entry, rank)
    if not entry.layers:
        raise CaseError(("layers",), "layers is missing: give a list of at least one, e.g. [{kernel: 3}]")
    layers = [_layer(entry.layers[0], x.shape, rank, entry)]
    for each in entry.layers[1:]:
        if conv.violations(layers[-1]):  # what an impossible layer gives, nobody can say
            break
        layers.append(_layer(each, conv.output_shape(layers[-1]), rank, entry))
    first = layers[0]
    return ReceptiveFieldCase(
        id=common.id,
        operation=NAME,
        input_shape=x.shape,
        kernel=first.kernel,
        stride=first.stride,
        dilation=first.dilation,
        padding=first.padding,
        layers=tuple(layers),
        operands=(x, *_impulse(entry, layers[-1])),
        at=_at(entry, layers[-1]),
        field=None if entry.field is None else window.per_axis(entry.field, rank, "field"),
        **shared,
    )


def violations(case: ReceptiveFieldCase) -> list[CaseError]:
    """Return every rule that the case breaks; of several layers, those of the first that breaks one."""
    for number, layer in enumerate(case.layers):
        if broken := conv.violations(layer):
            return [CaseError((e.key[0],), f"layer {number}: {e}") for e in broken]
    if case.field not in (None, case.extent):
        return [CaseError(("field",), f"field is {list(case.field or ())}, by the formula {list(case.extent)}")]
    if any(not 0 <= at < n for at, n in zip(case.at, output_shape(case)[2:], strict=True)):
        return [CaseError(("at",), f"at is {list(case.at)}, the output is {list(output_shape(case)[2:])}")]
    if case.fill == "special":
        return [CaseError(("fill",), "paths are counted: there is no place for NaN and infinities")]
    return gradient_rules(case)


def output_shape(case: ReceptiveFieldCase) -> tuple[int, ...]:
    """(N, 1, *output of the last layer)."""
    return conv.output_shape(case.layers[-1])


def terms(case: ReceptiveFieldCase, pass_: Pass) -> int:
    """Return how often a sum is rounded on the longest way: the layers' terms together, relative errors add up."""
    return sum(conv.terms(layer, pass_) for layer in case.layers)


def work(case: ReceptiveFieldCase) -> Work:
    """Return the forward pass' work, that of all layers."""
    each = [conv.work(layer) for layer in case.layers]
    elements = prod(case.input_shape) + prod(output_shape(case))
    return Work(flops=sum(w.flops for w in each), bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: ReceptiveFieldCase) -> Case | None:
    """Return the first layer's window."""
    return case.layers[0]


def reference(case: ReceptiveFieldCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give: the operand, summed along all paths."""
    import numpy as np

    from convsuite.arithmetic import evaluate

    each: list[Any] = [_paths(case, axis) for axis in range(case.rank)]
    paths: Any = reduce(np.kron, each)  # (outputs, inputs) of the plane
    shape = case.input_shape if pass_.gradient else output_shape(case)

    def value(arithmetic: Arithmetic, operands: Sequence[Real]) -> Real:
        x = operands[-1 if pass_.gradient else 0]
        rows = x.reshape(x.shape[0], 1, -1)
        return arithmetic.matmul(rows, paths if pass_.gradient else paths.T).reshape(arithmetic.parts, *shape)

    return evaluate(value, arrays, case.dtype, terms(case, pass_), read=case.read_by(pass_))


def _paths(case: ReceptiveFieldCase, axis: int) -> Real:
    """Return how many paths lead from each output to each input of one axis, (outputs, inputs): integers."""
    return reduce(
        lambda later, layer: later @ _reads(layer, axis), reversed(case.layers[:-1]), _reads(case.layers[-1], axis)
    )


def _reads(layer: ConvCase, axis: int) -> Real:
    """Return how often each output of a layer reads each of its inputs, (outputs, inputs)."""
    import numpy as np

    slides = window.windows(layer)[axis]
    seen = slides.axis(dense=True)
    counts = np.zeros((slides.count, slides.size))
    for positions in seen.where:
        for output, at in enumerate(range(*positions.indices(len(seen.shown)))):
            if seen.shown[at] >= 0:
                counts[output, seen.shown[at]] += 1
    return counts


def _layer(entry: LayerEntry, shape: tuple[int, ...], rank: int, whole: Entry) -> ConvCase:
    """Return one layer as a convolution of an input of this shape; an input of another rank is told by `violations`."""
    kernel, stride, dilation = (
        window.per_axis(value, rank, key)
        for key, value in (("kernel", entry.kernel), ("stride", entry.stride), ("dilation", entry.dilation))
    )
    padding: Padding = window.resolve_padding(entry.padding, "zeros", shape[2:], kernel, stride, dilation)
    return ConvCase(
        id="",
        operation=conv.NAME,
        input_shape=shape,
        kernel=kernel,
        stride=tuple(stride),
        dilation=dilation,
        padding=padding,
        dtype=whole.dtype,
        layout=whole.layout,
        passes=(Pass.FORWARD, Pass.GRAD_INPUT),
        operands=(Operand(role="input", shape=shape), Operand(role="weight", shape=(1, 1, *kernel))),
        out_channels=1,
    )


def _at(entry: ReceptiveFieldEntry, last: ConvCase) -> tuple[int, ...]:
    if entry.at is not None:
        return window.per_axis(entry.at, last.rank, "at")
    return (0,) * last.rank if conv.violations(last) else tuple(n // 2 for n in conv.output_shape(last)[2:])


def _impulse(entry: ReceptiveFieldEntry, last: ConvCase) -> tuple[Operand, ...]:
    """Return the output's gradient: 1 at the output that is asked for, else 0."""
    if "grad_input" not in entry.passes or conv.violations(last):
        return ()
    shape = conv.output_shape(last)
    at = _at(entry, last)
    place = sum(i * prod(shape[2 + axis + 1 :]) for axis, i in enumerate(at))
    values = tuple(float(i == place) for i in range(prod(shape)))
    written = Literal(shape=shape, values=values)
    return (
        Operand(role="grad_output", shape=shape, literal=written, memory_format=operand.formats(entry).grad_output),
    )
