"""The pytest plugin: case files are collected as tests, one item for each case and backend.

pytest loads it wherever convsuite is installed, so nothing else of convsuite is imported before a case file turns up.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convsuite.pytest_items import CaseFile

_TOP_KEYS = tuple(re.compile(rb"^(\xef\xbb\xbf)?" + key + rb"\s*:", re.MULTILINE) for key in (b"operation", b"cases"))
_SNIFFED_BYTES = 4 << 20  # no case file is larger


class SuspectWarning(UserWarning):
    """An answer within the proven bound, but far beyond what real arithmetic shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options; none does anything until a case file is collected."""
    add = parser.getgroup("convsuite", "conformance cases of convsuite").addoption
    add(
        "--convsuite-backend", action="append", default=[], metavar="NAME",
        help="a backend or a variant of one, e.g. torch:compile; repeatable [default: all that are installed]",
    )  # fmt: skip
    add("--convsuite-all-variants", action="store_true", help="every variant of every backend (or of those named)")
    levels = ("smoke", "default", "full", "real", "large")
    add("--convsuite-level", choices=levels, help="how many cases; each level includes the last")
    add("--convsuite-device", default="cpu", metavar="DEVICE", help="where backends compute, e.g. cuda [default: cpu]")
    add(
        "--convsuite-timeout", type=_seconds, default=60.0, metavar="S",
        help="seconds that one case may take on one backend [default: 60]",
    )  # fmt: skip
    add(
        "--convsuite-threads",
        type=_count,
        default=1,
        metavar="N",
        help="threads of each backend's process [default: 1]",
    )
    add("--convsuite-builtin", action="store_true", help="collect the cases that convsuite ships")
    parser.addini("convsuite_files", "globs of case files [default: *.yaml and *.yml that look like one]", type="args")
    parser.addini("convsuite_backends", "backends to run cases on; one that is not installed is skipped", type="args")
    parser.addini("convsuite_level", "smoke, default, full, real or large", default="default")


def pytest_configure(config: pytest.Config) -> None:
    """Take up the cases that convsuite ships, and refuse a backend that was named and cannot be had."""
    config.addinivalue_line(
        "markers",
        "convsuite: every case of convsuite; each is also marked with its operation, dtype, level, passes and tags, "
        "e.g. -m 'conv and float32 and grad_weight'",
    )
    if config.getoption("--convsuite-builtin"):
        _add_builtin(config)
    if config.getoption("--convsuite-backend"):
        from convsuite.errors import ConvsuiteError
        from convsuite.pytest_items import session_of

        try:
            session_of(config)
        except ConvsuiteError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    """Collect a case file: one that `convsuite_files` means, or else a YAML file that looks like one."""
    if file_path.parent.name == "known_failures":
        return None
    globs = parent.config.getini("convsuite_files")
    ours = any(file_path.match(glob) for glob in globs) if globs else _looks_like_cases(file_path)
    if not ours:
        return None
    from convsuite.pytest_items import CaseFile

    return CaseFile.from_parent(parent, path=file_path)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what became of the checks, by backend."""
    reports = [r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", "") == "call"]
    ours = [r for r in reports if any(name == "convsuite.backend" for name, _ in r.user_properties)]
    if ours:
        from convsuite.pytest_items import summary

        terminalreporter.write_sep("=", "convsuite: checks by backend (one check is one pass of one case)")
        for line in summary(ours, config):
            terminalreporter.write_line(line)


def _add_builtin(config: pytest.Config) -> None:
    """Collect the shipped cases: beside the paths that were given, or alone where none was."""
    from importlib.resources import files

    folder = str(files("convsuite_cases"))
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = []
    if folder not in config.args:  # a worker of pytest-xdist is given it
        config.args.append(folder)


def _looks_like_cases(path: Path) -> bool:
    """Return whether a file is YAML with the two top-level keys of a case file."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    try:
        with path.open("rb") as file:
            text = file.read(_SNIFFED_BYTES)
    except OSError:
        return False
    return all(key.search(text) for key in _TOP_KEYS)


def _seconds(text: str) -> float:
    if not 0 < (number := float(text)) < math.inf:  # NaN, too
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number
