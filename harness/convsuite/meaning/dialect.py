"""How a framework spells calls: its lines, and the little that it takes to evaluate them in its own process.

A dialect is registered by an entry point of the group `convsuite.meanings`, named as the backend variant it speaks for.
Finding dialects, and reading their lines, imports no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from convsuite.meaning.records import Call

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "convsuite.meanings"
Native = Any  # an array of the framework


class Dialect:
    """One framework as its users call it, in its own defaults. Its name is that of its entry point."""

    requires: ClassVar[tuple[str, ...]] = ()  # modules, the first of them the one whose version counts
    environment: ClassVar[Mapping[str, str]] = {}  # set before anything is imported
    x: ClassVar[str] = "NCHW"  # the usual order of axes of inputs and results
    w: ClassVar[str] = "OIHW"
    calls: ClassVar[tuple[Call, ...]] = ()

    def resolved(self) -> tuple[Call, ...]:
        """Return its calls with their orders of axes said."""
        return tuple(
            replace(c, x=x, w=_first(c.w, self.w), y=_first(c.y, x)) for c in self.calls for x in [_first(c.x, self.x)]
        )

    def names(self) -> dict[str, Any]:
        """Return what a line may name beside the probe's x, w and parameters: the framework's modules."""
        return {name: import_module(name) for name in self.requires}

    def version(self) -> str:
        """Return the version of what is asked, without a local part such as `+cpu`."""
        version: str = import_module(self.requires[0]).__version__
        return version.partition("+")[0]

    def tensor(self, array: NDArray[Any]) -> Native:
        """Return the framework's own array."""
        raise NotImplementedError

    def array(self, result: Native) -> NDArray[Any]:
        """Return a result as NumPy."""
        raise NotImplementedError

    def applied(self, value: Any, arrays: Mapping[str, Native]) -> Native:
        """Return the result of a line: its value, or where that is a layer, of the layer with weight w called on x."""
        return value

    def gradient(self, function: Callable[[Native], Native], x: Native) -> Native:
        """Return the gradient of the sum of `function(x)` to x, by the framework's own means."""
        raise NotImplementedError


def _first(order: str | None, usual: str) -> str:
    return usual if order is None else order


def dialects() -> dict[str, Dialect]:
    """Return every registered dialect by name, sorted."""
    return {ep.name: ep.load()() for ep in sorted(entry_points(group=GROUP), key=lambda ep: ep.name)}


def missing(dialect: Dialect) -> tuple[str, ...]:
    """Return the modules that it requires and that are not installed."""
    return tuple(module for module in dialect.requires if find_spec(module) is None)
