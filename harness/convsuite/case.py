"""The records that every room speaks: a case, its operands, and what became of it.

No I/O, no framework, no NumPy at run time. Arrays are always described in the order (N, C, *spatial), weights in
(C_out, C_in / groups, *kernel); a backend that calls its framework in another order transposes on the way in and out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from convsuite.algorithms import Fast

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int32", "int8")
DTYPES = FLOATS + INTEGERS
FILLS = ("integers", "normal", "wide", "cancelling", "impulse", "ramp", "special")
PADDING_KINDS = ("valid", "same_upper", "same_lower", "full", "causal", "explicit")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
LAYOUTS = ("default", "channels_first", "channels_last")
MEMORY_FORMATS = ("contiguous", "channels_last", "sliced", "transposed")
# each includes those before it; real: layers of real networks at their real size; large: beyond 2^31 elements
LEVELS = ("smoke", "default", "full", "real", "large")


class Pass(StrEnum):
    """What is computed: the operation itself, or the gradient of ⟨output, grad_output⟩ to one of its operands."""

    FORWARD = "forward"
    INDICES = "indices"  # of a max pool: where in the input's plane each output was found
    GRAD_INPUT = "grad_input"
    GRAD_WEIGHT = "grad_weight"
    GRAD_DEPTHWISE = "grad_depthwise"  # the two weights of a separable convolution
    GRAD_POINTWISE = "grad_pointwise"
    GRAD_BIAS = "grad_bias"

    @property
    def gradient(self) -> bool:
        """True for the gradient to an operand."""
        return self.value.startswith("grad_")

    @property
    def role(self) -> str:
        """The operand whose shape the result has; `output` for the forward pass, `indices` for those."""
        return "output" if self is Pass.FORWARD else self.value.removeprefix("grad_")


class Status(StrEnum):
    """What became of one pass of one case on one backend."""

    PASSED = "passed"
    MISMATCH = "mismatch"  # it answered, and the answer is wrong
    ERROR = "error"  # it raised where an answer was due
    CRASH = "crash"  # its process died
    TIMEOUT = "timeout"
    UNSUPPORTED = "unsupported"  # declared, with a reason
    KNOWN_FAILURE = "known_failure"  # failed as the known-failure list says
    FIXED_UPSTREAM = "fixed_upstream"  # the list says that it fails, and it did not


FINDINGS = (Status.MISMATCH, Status.ERROR, Status.CRASH, Status.TIMEOUT, Status.FIXED_UPSTREAM)


class Level(StrEnum):
    """How a backend provides a case."""

    NATIVE = "native"  # the framework's own option
    COMPOSED = "composed"  # built from several of its calls; the reason says how
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Support:
    """A backend's declaration on one case, made before anything runs."""

    level: Level
    reason: str = ""

    @staticmethod
    def native() -> Support:
        """Return the declaration that the framework has this as an option of its own."""
        return Support(Level.NATIVE)

    @staticmethod
    def composed(reason: str) -> Support:
        """Return the declaration that several of the framework's calls are needed; `reason` says which."""
        return Support(Level.COMPOSED, reason)

    @staticmethod
    def unsupported(reason: str) -> Support:
        """Return the declaration that the framework has no way to do this; `reason` says what is missing."""
        return Support(Level.UNSUPPORTED, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """Padding, asked for and resolved.

    `kinds` is what the case asks for on each spatial axis; `pads` is what that comes to, (low, high) per axis, where
    a negative number crops.
    """

    kinds: tuple[str, ...]
    pads: tuple[tuple[int, int], ...]
    mode: str = "zeros"

    @property
    def symmetric(self) -> bool:
        """True where low equals high on every axis."""
        return all(low == high for low, high in self.pads)

    @property
    def negative(self) -> bool:
        """True where an axis is cropped."""
        return any(low < 0 or high < 0 for low, high in self.pads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """Values written out in the case file, row-major in the record's own order of axes."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One array that goes into an operation: `role` is input, weight, bias or grad_output."""

    role: str
    shape: tuple[int, ...]
    literal: Literal | None = None
    memory_format: str = "contiguous"  # how the elements lie in memory; the logical order does not change


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What the case file itself says of the answer, beside the reference."""

    values: Literal | None = None
    shape: tuple[int, ...] | None = None
    error: str | None = None  # the parameter that is invalid: a backend must refuse the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a case was written."""

    file: str
    line: int  # from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One problem, fully resolved: no shorthand is left. Operations subclass it with parameters of their own."""

    id: str
    operation: str
    input_shape: tuple[int, ...]  # (N, C, *spatial)
    kernel: tuple[int, ...]  # per spatial axis, as all that follow
    stride: tuple[int, ...]
    dilation: tuple[int, ...]  # 1 = dense
    padding: Padding
    dtype: str = "float32"
    fill: str = "integers"
    seed: int = 0
    layout: str = "default"  # logical order in which the framework is called; `default` is the framework's own
    passes: tuple[Pass, ...] = (Pass.FORWARD,)
    operands: tuple[Operand, ...] = ()  # in the order of the operation's arguments, grad_output last
    expect: Expect = Expect()
    source: str = ""
    tags: tuple[str, ...] = ()
    level: str = "default"
    repeats: int = 1  # how often the network has this layer: a weight of totals, no more
    origin: Origin = Origin(file="", line=0)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def taps(self) -> tuple[int, ...]:
        """Taps of a window on each axis: the reference takes a step for each."""
        return self.kernel

    @property
    def held(self) -> int:
        """Bytes of a table of where windows lie that the reference needs. Only for a case without violations."""
        return 0

    @property
    def wants_gradient(self) -> bool:
        """True where the gradient to any operand is asked for."""
        return any(p.gradient for p in self.passes)

    def read_by(self, pass_: Pass) -> tuple[bool, ...]:
        """Tell of each operand whether a pass of a product reads it: a gradient reads all but its own, and no bias."""
        if pass_ is Pass.GRAD_BIAS:
            return tuple(o.role == "grad_output" for o in self.operands)
        if pass_.gradient:
            return tuple(o.role not in (pass_.role, "bias") for o in self.operands)
        return tuple(o.role != "grad_output" for o in self.operands)

    @property
    def factors(self) -> tuple[Operand, ...]:
        """The operands that are multiplied with one another: where one is all 0, no wrong index shows."""
        return tuple(o for o in self.operands if o.role != "bias")

    @property
    def memory_formats(self) -> tuple[str, ...]:
        """The memory formats that the operands ask for, without `contiguous`."""
        return tuple(sorted({o.memory_format for o in self.operands} - {"contiguous"}))


CaseT = TypeVar("CaseT", bound=Case)


def geometry(case: CaseT) -> CaseT:
    """Return the case without what leaves the computation the same: a compiler needs to see each geometry once.

    Of `passes` it keeps whether gradients are wanted, which some backends choose their call by.
    """
    bare = tuple(replace(o, literal=None) for o in case.operands)
    return replace(
        case,
        id="",
        fill="",
        seed=0,
        passes=(Pass.GRAD_INPUT,) if case.wants_gradient else (),
        operands=bare,
        expect=Expect(),
        source="",
        tags=(),
        level="",
        repeats=1,
        origin=Origin(file="", line=0),
    )


def identity(case: Case) -> str:
    """Return all that is computed of a case, as text; a field that is added later changes it only where it is set."""
    timed = replace(geometry(case), id=case.id, fill=case.fill, seed=case.seed)
    values = ((f.name, f.default, getattr(timed, f.name)) for f in fields(timed))
    return " ".join(f"{name}={value!r}" for name, default, value in values if value != default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """What a backend declares of its arithmetic; bounds follow from it, so a false declaration is caught or costs it.

    Attributes
    ----------
    accumulator
        dtype in which products are summed.
    intermediate
        narrower dtype to which a partial sum is rounded on the way, if any.
    intermediate_roundings
        how often that happens for one output at most; None where it is not known (then: after every product).
    tf32
        products of operands rounded to 11 bits (NVIDIA tensor cores).
    fast
        a fast algorithm, `convsuite.algorithms.Winograd` or `Fft`: its normwise bound then holds in place of a sum's.
    note
        why, in words, with a link where there is one.
    """

    accumulator: str
    intermediate: str | None = None
    intermediate_roundings: int | None = None
    tf32: bool = False
    fast: Fast | None = None
    note: str = ""

    @property
    def told(self) -> str:
        """The note, and before it the name of a fast algorithm."""
        return ": ".join(part for part in (self.fast.name if self.fast else "", self.note) if part)

    @property
    def narrowing(self) -> str:
        """What widens the bounds beyond the accumulator's own, in words; "" where nothing does."""
        often = f" at most {self.intermediate_roundings} times" if self.intermediate_roundings is not None else ""
        said = [f"partial sums rounded to {self.intermediate}{often}"] if self.intermediate else []
        said += ["products of operands rounded to 11 bits (TF32)"] if self.tf32 else []
        said += [f"the normwise bound of {self.fast.name}"] if self.fast else []
        return ", ".join(said) + (f" ({self.note})" if said and self.note else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Norms:
    """How large all that a fast algorithm may mix up is, for each image and channel of a result.

    Both sum over the channels c of a group; they have a result's shape, with 1 for each spatial axis. What is not
    finite counts as 0, and what is so small that transforms of it would underflow as what is just large enough.
    """

    peak: NDArray[np.float64]  # Σ_c max|x_c|·Σ|w_c|
    energy: NDArray[np.float64]  # Σ_c ‖x_c‖₂·‖w_c‖₂


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The reference's answer to one pass.

    `value + low` is the exact result to well beyond the case's dtype (`low` is 0 except for float64 cases, where the
    pair is a double-double); `magnitude` is Σ|x||w| + |b|, the same operation on absolute values: NaN where an operand
    in the sum is not finite, infinite where float64 itself overflows, so that nothing can be said there.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64] | None
    magnitude: NDArray[np.float64]
    terms: int  # K: products accumulated into one output
    # gate 1 may apply: operands are integers and no quotient is rounded; for all elements or, broadcast, for each
    integral: bool | NDArray[np.bool_]
    sums: NDArray[np.float64] | None = None  # what partial sums may come to, where that is not the magnitude
    # where a fast algorithm may be declared; computed when it is
    norms: Callable[[], Norms] | None = None

    def part(self, box: tuple[slice, ...]) -> Expected:
        """Return the same for a box of the result; what is broadcast along an axis stays so."""

        def of(array: NDArray[Any]) -> NDArray[Any]:
            lacking = (1,) * (self.value.ndim - array.ndim)
            whole = array.reshape(lacking + array.shape)
            index = tuple(b if n > 1 else slice(None) for b, n in zip(box, whole.shape, strict=True))
            found: NDArray[Any] = whole[index]
            return found

        def norms_of(norms: Callable[[], Norms]) -> Callable[[], Norms]:
            return lambda: Norms(peak=of(norms().peak), energy=of(norms().energy))

        return replace(
            self, value=of(self.value), low=None if self.low is None else of(self.low), magnitude=of(self.magnitude),
            integral=self.integral if isinstance(self.integral, bool) else of(self.integral),
            sums=None if self.sums is None else of(self.sums), norms=self.norms and norms_of(self.norms),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge says of one answer. An index is in (N, C, *spatial) or weight order, from 0."""

    # exact, guaranteed, normwise (of a fast algorithm), shape (an empty result), refusal; none: nothing was compared
    gate: str
    right: bool
    message: str
    compared: int = 0
    wrong: int = 0
    unchecked: int = 0
    worst_index: tuple[int, ...] | None = None
    got: float | None = None
    expected: float | None = None
    error_units: float = 0.0  # the worst |y − r| in units of u·B; of a fast algorithm, of u·norm where that is more
    guaranteed_share: float = 0.0  # of gate 2's allowance, at the worst element
    expected_share: float = 0.0  # of gate 3's
    suspect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one pass of one case on one backend variant: the row that is stored and shown."""

    case_id: str
    operation: str
    dtype: str
    pass_: Pass
    backend: str  # "torch", "torch:compile"
    device: str
    status: Status
    support: Support
    message: str = ""
    verdict: Verdict | None = None
    numerics: Numerics | None = None  # the declared arithmetic by which it was judged
    reproducible: bool | None = None  # two runs gave the same bits
    digest: str = ""  # of the answer's bytes: equal digests are bit-identical answers
    known: str = ""  # the known failure's reason and link
    seconds: float = 0.0  # the worker's time for the whole case, all passes

    @property
    def finding(self) -> bool:
        """True where a person should look: the run's exit code is 1."""
        return self.status in FINDINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two backends' answers to one pass of one case are apart."""

    case_id: str
    operation: str
    pass_: Pass
    left: str
    right: str
    identical: bool  # bit for bit, with −0 equal to 0 and any NaN to any NaN
    units: float  # max |a − b| in units of u·B; inf where one is finite and the other not


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one forward pass costs at least."""

    flops: int  # 2 per product, padding counted
    bytes: int  # input, weight, bias and output once
