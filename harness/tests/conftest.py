"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Plant = Callable[[Mapping[str, str]], Path]

# what a script puts in the background has Ctrl-C ignored, and hands that on to what a test starts and interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def planted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """A function that registers backends as an installed distribution would, and returns the folder they are in.

    It takes {name: source of a module that defines the class `Planted`}. Backends are found in this process and in any
    that it starts (PYTHONPATH), until the test ends.
    """

    def plant(sources: Mapping[str, str]) -> Path:
        folder = tmp_path_factory.mktemp("planted")
        modules = {name: f"planted_{name.replace(':', '_')}_{folder.name}" for name in sources}
        for name, source in sources.items():
            (folder / f"{modules[name]}.py").write_text(source, encoding="utf-8")
        info = folder / f"{folder.name}-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder.name}\nVersion: 0\n")
        lines = [f"{name} = {module}:Planted" for name, module in modules.items()]
        (info / "entry_points.txt").write_text("\n".join(["[convsuite.backends]", *lines, ""]))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        return folder

    return plant
