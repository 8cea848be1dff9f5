"""The plugin interface: what a backend is, and how it is found.

A backend is a class with one method per operation it has, registered by an entry point of the group
`convsuite.backends`. A variant (an execution mode of the same framework) is a subclass with an entry point of its
own, named
`backend:variant`. Finding backends imports none of them; a framework is imported in `__init__`, in the worker process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from convsuite.case import Case, Numerics, Operand, Pass, Support
from convsuite.errors import BackendError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array

__all__ = ["Backend", "Registered", "find", "registered"]

GROUP = "convsuite.backends"
_EXTRAS = ("torch", "tensorflow", "keras", "jax")  # of the distribution convsuite
Native = Any  # an array of the backend's framework
Function = Callable[..., Native]  # operands in, result out
Gradient = Callable[[Sequence[Native], Native], Sequence[Native]]  # (operands, grad_output) → one gradient an operand
GradientCall = Callable[[Sequence[Native], Native], Callable[[], Native]]  # (operands, grad_output) → a call for one


class Backend:
    """One framework, or one execution mode of it. Subclass it and write a method per operation, named as the operation.

    A method takes the case and its operands as native arrays and returns the native result, e.g.
    `def conv(self, case, x, weight, bias=None)` with x (N, C, *spatial), weight (C_out, C_in / groups, *kernel), bias
    (C_out,), unless `to_native` lays them out in another way. `def max_pool_indices(self, case, x)` returns where each
    maximum was found. All else has a default that suits NumPy.
    """

    requires: ClassVar[tuple[str, ...]] = ()  # modules whose absence means "not installed"
    environment: ClassVar[Mapping[str, str]] = {}  # set in the worker process before anything else is imported
    devices: ClassVar[tuple[str, ...]] = ("cpu",)  # what `--device` may name

    def __init__(self, device: str = "cpu") -> None:
        """Import the framework; called once, in the worker process."""
        self.device = device

    def versions(self) -> Mapping[str, str]:
        """Return name → version of what computes; the first is the one that known failures are ranged by."""
        from importlib.metadata import version

        return {name: version(name) for name in (self.requires or ("numpy",))}

    def support(self, case: Case) -> Support:
        """Declare whether, and how, this backend computes a case. Called only where it has the operation's method."""
        return Support.native()

    def gradient_support(self, case: Case) -> Support:
        """Declare the same for the case's gradients; by default there are none."""
        overridden = type(self).gradient is not Backend.gradient or type(self).backward is not Backend.backward
        return Support.native() if overridden else Support.unsupported("no gradients")

    def indices_support(self, case: Case) -> Support:
        """Declare the same for where a max pool's maxima were found."""
        return Support.native()

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare the arithmetic: by default half precisions accumulate in float32, all others in their own dtype."""
        return Numerics(
            accumulator={"float16": "float32", "bfloat16": "float32", "int8": "int32"}.get(case.dtype, case.dtype)
        )

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return an operand as the framework takes it: dtype, device, layout, memory format. Not timed.

        `array` has the case's dtype, in the operand's shape and C order. NumPy has no bfloat16: there it is a float32
        array whose values are bfloat16's.
        """
        return array

    def to_numpy(self, result: Native, role: str, case: Case) -> NDArray[np.generic]:
        """Return a result in (N, C, *spatial) or weight order; `role` is output, input, weight or bias. Not timed."""
        import numpy as np

        return np.asarray(result)

    def dtype_name(self, result: Native, case: Case) -> str:
        """Return the dtype of a native result, e.g. `bfloat16`."""
        return str(result.dtype).rpartition(".")[2]

    def synchronize(self, result: Native) -> None:
        """Wait until a result has been computed."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return a function of native operands as this variant runs it, e.g. jitted. Called once per geometry."""
        return function

    def gradient(self, function: Function, case: Case) -> Gradient:
        """Return (operands, grad_output) → gradients of ⟨function(*operands), grad_output⟩, by the framework's own."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients")

    def forward(self, case: Case, method: str = "") -> Function:
        """Return the compiled forward pass of a case: that of a method, by default the one of the operation's name."""
        return self.compile(partial(getattr(self, method or case.operation), case), case)

    def backward(self, case: Case) -> Gradient:
        """Return the compiled gradients of a case: all of them at once, in the order of its operands."""
        return self.compile(self.gradient(partial(getattr(self, case.operation), case), case), case)

    def gradient_of(self, case: Case, pass_: Pass) -> GradientCall:
        """Return (operands, grad_output) → a call that computes the gradient to one operand, as often as it is made.

        It is for timing: a framework that can keep its forward pass leaves it out of the call, and computes no other
        gradient where that can be said. By default all gradients are computed, from the operands on.
        """
        function, number = self.backward(case), self.role_number(case, pass_)
        return lambda operands, grad_output: lambda: function(operands, grad_output)[number]

    @staticmethod
    def role_number(case: Case, pass_: Pass) -> int:
        """Return the place among a case's operands of the one that a gradient is to."""
        return [operand.role for operand in case.operands].index(pass_.role)

    def explain(self, case: Case, pass_: Pass) -> str:
        """Return how a pass is computed, and why so, in words; "" where there is nothing to tell."""
        return ""

    def cache_flush(self) -> Callable[[], None] | None:
        """Return a call that empties the caches of a device other than the CPU, or None where there is none."""
        return None

    def workspace_bytes(self, call: Callable[[], Native]) -> int | None:
        """Make a call; return the bytes that it held at most beyond operands and result, None where nobody counts."""
        return None

    def device_clock(self) -> Callable[[Callable[[], Native], int], float] | None:
        """Return (launch, n) → the seconds that the device worked on n launches, by its own events, or None."""
        return None


@dataclass(frozen=True, slots=True)
class Registered:
    """A backend variant that some installed distribution registers; not imported yet."""

    name: str  # "torch", "torch:compile"
    entry_point: EntryPoint

    @property
    def family(self) -> str:
        """The name before the colon: what variants share."""
        return self.name.partition(":")[0]

    @property
    def default(self) -> bool:
        """True for a backend's default variant."""
        return ":" not in self.name

    @property
    def distribution(self) -> str:
        """Name and version of the distribution that registers it."""
        dist = self.entry_point.dist
        return f"{dist.name} {dist.version}" if dist else "?"

    def missing(self) -> str:
        """Return what to install for this variant (`convsuite[torch]`), or "" where all that it needs is there.

        A backend of another distribution has its framework among that distribution's dependencies: it is never
        imported here. Of one that is broken nothing is said to be missing: `broken`, and its own process, tell.
        """
        if not self._ours or self.broken():
            return ""
        modules = self.load().requires
        absent = [module for module in modules if not _there(module)]
        extras = [module for module in absent if module in _EXTRAS] or list(modules[:1])  # jaxlib comes with jax
        return f"'convsuite[{','.join(extras)}]'" if absent else ""

    def broken(self) -> str:
        """Return why the entry point leads to no backend, as far as that can be told here, or ""."""
        if not self._ours:
            package = self.entry_point.module.partition(".")[0]
            return "" if _there(package) else f"there is no module {package}"
        try:
            self.load()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    @property
    def _ours(self) -> bool:
        return self.entry_point.dist is not None and self.entry_point.dist.name == "convsuite"

    def load(self) -> type[Backend]:
        """Import the module and return the class."""
        cls = self.entry_point.load()
        if not (isinstance(cls, type) and issubclass(cls, Backend)):
            raise BackendError(f"{self.name}: {self.entry_point.value} is not a subclass of convsuite.backend.Backend")
        return cls


def _there(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def registered() -> dict[str, Registered]:
    """Return every registered backend variant by name, sorted; a name that two distributions claim is an error."""
    found: dict[str, Registered] = {}
    for ep in sorted(entry_points(group=GROUP), key=lambda ep: ep.name):
        new = Registered(ep.name, ep)
        old = found.setdefault(ep.name, new)
        if old is not new and old.entry_point.value != ep.value:
            raise BackendError(
                f"two distributions register a backend {ep.name!r}: {old.distribution} ({old.entry_point.value}) and "
                f"{new.distribution} ({ep.value}); uninstall one"
            )
    return found


def find(name: str) -> Registered:
    """Return one registered variant; an unknown name is an error with the nearest known ones."""
    from convsuite.nearest import did_you_mean

    known = registered()
    if name not in known:
        hint = did_you_mean(name, known, f"known: {', '.join(known)}")
        raise BackendError(f"no backend {name!r}: {hint} (see `convsuite list backends`)")
    return known[name]
