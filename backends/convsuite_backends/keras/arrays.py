"""What every operation of Keras shares: its name for the framework below, versions, and what it cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.case import Case
from convsuite_backends._framework import ChannelsLast

if TYPE_CHECKING:
    from collections.abc import Mapping


class KerasArrays(ChannelsLast):
    """Channels last unless the case asks for channels first; weights are (*kernel, I, O) in both.

    A variant inherits from this first, then from the arrays of the framework below.
    """

    name = ""  # of the framework below

    def versions(self) -> Mapping[str, str]:
        """Return Keras's version and those of the framework below."""
        import keras

        return {"keras": keras.__version__, **super().versions()}

    def lack(self, case: Case) -> str:
        """Say that strides in memory cannot be had; what the framework below lacks does not matter here."""
        return "Keras has no memory formats" if case.memory_formats else ""
