"""convsuite: do these backends compute the same convolution, how far apart are they, and how fast is each?

A backend's author needs `Backend`, `Support`, `Numerics` and `Case`; all else is reached through the command line
(`convsuite --help`) or the pytest plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convsuite.backend import Backend
    from convsuite.case import Case, Level, Numerics, Operand, Outcome, Pass, Status, Support
    from convsuite.errors import ConvsuiteError

__all__ = ["Backend", "Case", "ConvsuiteError", "Level", "Numerics", "Operand", "Outcome", "Pass", "Status", "Support"]

_ROOMS = {"Backend": "backend", "ConvsuiteError": "errors"}


def __getattr__(name: str) -> Any:
    """Import a public name's room when it is first asked for: start-up pays for what it uses (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'case')}"), name)
