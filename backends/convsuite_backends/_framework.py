"""The base of the framework backends: getting arrays in and out of a framework, whatever their order."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from convsuite.backend import Backend, Native
from convsuite.case import Case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array


class Framework(Backend):
    """What Keras takes from the framework below it."""

    @abstractmethod
    def _tensor(self, array: Array, case: Case) -> Native:
        """Return the framework's own array in the case's dtype, on the device, its axes as they are."""

    @abstractmethod
    def _array(self, result: Native) -> NDArray[np.generic]:
        """Return a native result as NumPy, its axes as they are; bfloat16 as float32, which holds all its values."""
