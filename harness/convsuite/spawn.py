"""Processes that begin with variables, and on cores, of their own.

A spawned process imports its parent's main module before it does anything that it is told, and with that, it may be,
NumPy, whose pool of threads is made then and there. So what fixes the number of threads must be there as it begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_starting = threading.Lock()  # a process inherits our environment: two that begin at once would share theirs


class _Process(SpawnProcess):
    variables: Mapping[str, str] = {}
    cores: Sequence[int] = ()

    def start(self) -> None:
        """Start with the variables set, on the cores."""
        with _environment(self.variables), _on(self.cores):
            super().start()


class Spawn(SpawnContext):
    """Makes processes that begin with some variables, and keep to some cores, or to all that there are."""

    def __init__(self, variables: Mapping[str, str], cores: Sequence[int] = ()) -> None:
        self._variables = variables
        self._cores = cores

    def Process(self, *args: Any, **kwargs: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        """Return a process that has not begun."""
        process = _Process(*args, **kwargs)
        process.variables, process.cores = self._variables, self._cores
        return process


@contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread to some cores: a process inherits them from the thread that starts it."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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
