"""The records of the meaning register: what is asked, of which line, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

Value = int | float | str | bool | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """One small problem, in the canonical orders: x (N, C, *spatial), w as its operation has it."""

    operation: str
    keys: Mapping[str, Any]  # as a case file writes them, without what is asked for
    names: Mapping[str, Value]  # what the names in a line stand for: kernel, stride, …
    arrays: Mapping[str, Array]  # x, w

    @property
    def weight_order(self) -> str:
        """The canonical order of the weight's axes, O output and I input channels."""
        return "IOHW" if self.operation == "conv_transpose" else "OIHW"

    def __str__(self) -> str:
        return ", ".join(f"{name} {said(value)}" for name, value in self.names.items())


@dataclass(frozen=True, slots=True)
class Meaning:
    """One canonical answer to a question."""

    name: str  # a short word of the field
    text: str  # the same in a sentence
    answer: Callable[[Probe], Array | None]  # in canonical order; None where this meaning has no answer


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What frameworks mean differently, the probes that tell their meanings apart, and these meanings."""

    id: str
    text: str
    meanings: tuple[Meaning, ...]  # where several hold of all that a call answers, the first is told first
    sweep: Callable[[], tuple[Probe, ...]]  # the smallest first
    gradient: bool = False  # asked of the gradient of the sum to x
    dtype: bool = False  # the answer's dtype is part of the meaning
    within: float = 0.0  # of an answer, by which a call may differ: for roots, which nothing rounds correctly

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """The sweep, made once."""
        return self.sweep()

    @cached_property
    def answers(self) -> tuple[tuple[Array | None, ...], ...]:
        """For each meaning, its answer to each probe."""
        return tuple(tuple(meaning.answer(probe) for probe in self.probes) for meaning in self.meanings)


@dataclass(frozen=True, slots=True)
class Call:
    """A line of Python as its users write it; shown, and evaluated, as it stands.

    It gives an array, or a layer that is then given w and called on x. The orders of axes are letters of the field;
    those of any rank are written for two spatial axes. An order that is "" leaves an array as the probe has it.
    """

    question: str
    text: str
    x: str | None = None  # order of the axes of x; None until its dialect says its usual one
    w: str | None = None  # of w: O out, I in; of depthwise weights C channel, M multiplier
    y: str | None = None  # of the result; None: as x


def asked(question: str, *lines: str, x: str | None = None, w: str | None = None, y: str | None = None) -> list[Call]:
    """Return the calls of some lines that answer one question and take the same orders of axes."""
    return [Call(question, line, x, w, y) for line in lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a line gave for one probe."""

    array: Array | None = None
    dtype: str = ""
    refusal: str = ""  # type and first line of the exception where it raised


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one line means: a row of the register."""

    question: str
    backend: str  # keras:jax
    version: str  # of the framework
    call: str
    orders: str = ""  # of the axes of its arrays: "x NHWC, w HWIO"
    asked: int  # probes
    answered: int
    meanings: tuple[str, ...] = ()  # that fit all it answers; more than one where the probes it answers do not differ
    refuses: str = ""  # the rule: "stride > 1"
    words: str = ""  # of a refusal
    differs: str = ""  # where no meaning fits: the nearest one, and the smallest probe at which it differs

    def same(self, other: Row) -> bool:
        """Whether both say that the line means the same, whatever the version and the words of refusals."""
        mine, others = ((r.meanings, r.orders, r.asked, r.answered, r.refuses, r.differs) for r in (self, other))
        return mine == others


def said(value: Value) -> str:
    """Return a parameter's value as messages write it: 3×2 for one an axis."""
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
