"""Libraries that only reports need: asked for when they are used, and missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from convsuite.errors import ConvsuiteError


def needed(module: str, what: str, extra: str = "reports") -> Any:
    """Return a module of an extra. Raise ConvsuiteError, with what to install, where it is absent."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConvsuiteError(
            f"{what} needs {module}, which is not installed: pip install 'convsuite[{extra}]'"
        ) from None
