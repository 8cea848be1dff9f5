"""Processes that begin with variables of their own.

A spawned process imports its parent's main module before it does anything that it is told, and with that, it may be,
NumPy, whose pool of threads is made then and there. So what fixes the number of threads must be there as it begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_starting = threading.Lock()  # a process inherits our environment: two that begin at once would share theirs


class _Process(SpawnProcess):
    variables: Mapping[str, str] = {}

    def start(self) -> None:
        """Start with the variables set."""
        with _environment(self.variables):
            super().start()


class Spawn(SpawnContext):
    """Makes processes that begin with some variables."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def Process(self, *args: Any, **kwargs: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        """Return a process that has not begun."""
        process = _Process(*args, **kwargs)
        process.variables = self._variables
        return process


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    with _starting:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
