"""The base of the framework backends: getting arrays in and out of a framework, whatever their order."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, cast

from convsuite.backend import Backend, Native
from convsuite.case import Case, Level, Numerics, Operand, Pass, Support
from convsuite.errors import DeviceError
from convsuite_backends import _layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array
    from convsuite.operations.receptive_field import ReceptiveFieldCase


class Framework(Backend):
    """A framework: what it declares goes by operation, and Keras takes its arrays from one below it.

    Beside the method `conv`, a subclass may have `conv_support(case)`, `conv_gradient_support(case)` and
    `conv_numerics(case, pass_, declared)`; and so for each operation, and `max_pool_indices_support(case)`. Without
    them it is native and has no roundings of its own.
    """

    def lack(self, case: Case) -> str:
        """Say what the framework lacks for a case whatever the operation, "" where it has all."""
        return ""

    def support(self, case: Case) -> Support:
        """Declare what is lacking, or what the operation's own declaration says."""
        if lack := self.lack(case):
            return Support.unsupported(lack)
        declare = getattr(self, f"{case.operation}_support", None)
        return declare(case) if declare else Support.native()

    def gradient_support(self, case: Case) -> Support:
        """Declare what the operation's own declaration says."""
        declare = getattr(self, f"{case.operation}_gradient_support", None)
        return declare(case) if declare else Support.native()

    def indices_support(self, case: Case) -> Support:
        """Declare what the operation's own declaration says."""
        declare = getattr(self, f"{case.operation}_indices_support", None)
        return declare(case) if declare else Support.native()

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare the usual arithmetic, as far as the operation's own declaration does not refine it."""
        usual = super().numerics(case, pass_)
        refine = getattr(self, f"{case.operation}_numerics", None)
        return refine(case, pass_, usual) if refine else usual

    def receptive_field(self, case: ReceptiveFieldCase, x: Native) -> Native:
        """Call the framework's convolution for one layer after another, with weights of ones."""
        import numpy as np

        for layer in case.layers:
            weight = layer.operands[1]
            x = self.conv(layer, x, self.to_native(np.ones(weight.shape, np.float32), weight, layer))  # type: ignore[attr-defined]
        return x

    def receptive_field_support(self, case: ReceptiveFieldCase) -> Support:
        """Declare what the layers take."""
        return _weakest([self.support(layer) for layer in case.layers])

    def receptive_field_gradient_support(self, case: ReceptiveFieldCase) -> Support:
        """Declare what the layers' gradients take."""
        return _weakest([self.gradient_support(layer) for layer in case.layers])

    def receptive_field_numerics(self, case: ReceptiveFieldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that 16-bit results are rounded between layers, beside what rounds within them."""
        within = [self.numerics(layer, pass_) for layer in case.layers]
        roundings = [n.intermediate_roundings if n.intermediate else 0 for n in within]
        count = None if None in roundings else sum(r or 0 for r in roundings) + len(within) - 1
        if case.dtype not in _layout.HALVES:
            return declared
        return _layout.narrowed(declared, case, count, f"each layer's result is rounded to {case.dtype}")

    def _tensor_cores(self, case: Case, pass_: Pass) -> bool:
        """Tell whether a GPU's tensor cores may multiply here: float32, where something is multiplied."""
        multiplies = "pool" not in case.operation and pass_ is not Pass.GRAD_BIAS
        return self._on_gpu and case.dtype == "float32" and multiplies

    @property
    def _on_gpu(self) -> bool:
        """True for `cuda`, and for one of several, `cuda:1`."""
        return self.device.partition(":")[0] == "cuda"

    def _device_number(self, found: int) -> int:
        """Return 1 for `cuda:1`, 0 for `cuda`. Raise DeviceError where it is not among the `found` of its kind."""
        kind, _, number = self.device.partition(":")
        if (number and not number.isdecimal()) or int(number or 0) >= found:
            known = f"has {kind}:0 to {kind}:{found - 1}" if found > 1 else f"has {kind}:0 alone"
            raise DeviceError(f"finds no {self.device}: this machine {known}")
        return int(number or 0)

    @abstractmethod
    def _tensor(self, array: Array, case: Case) -> Native:
        """Return the framework's own array in the case's dtype, on the device, its axes as they are."""

    @abstractmethod
    def _array(self, result: Native) -> NDArray[np.generic]:
        """Return a native result as NumPy, its axes as they are; bfloat16 as float32, which holds all its values."""


def _weakest(supports: list[Support]) -> Support:
    """Return what a stack of layers comes to: unsupported if one is, composed if one is, else native."""
    for level in (Level.UNSUPPORTED, Level.COMPOSED):
        found = [f"layer {number}: {s.reason}" for number, s in enumerate(supports) if s.level is level]
        if found:
            return Support(level, "; ".join(found))
    return Support.native()


class ChannelsLast(Framework):
    """A framework whose usual order has the channels last, in weights always."""

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return the framework's own array in the order that it is called with."""
        last = _layout.is_weight(operand.role) or _layout.channels_last(case)
        array = _layout.to_channels_last(array, operand.role) if last else array
        if _layout.is_depthwise(operand.role, case):
            array = _layout.to_multiplied(array, cast("_layout.MultipliedCase", case))
        return self._tensor(array, case)

    def to_numpy(self, result: Native, role: str, case: Case) -> NDArray[np.generic]:
        """Return the result; bfloat16 as float32, which holds all its values."""
        array = self._array(result)
        if _layout.is_depthwise(role, case):
            array = _layout.from_multiplied(array)
        last = _layout.is_weight(role) or _layout.channels_last(case)
        return _layout.to_channels_first(array, role) if last else array
