"""A small project as asv wants one, in which the tests run the real asv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = {"project": "small", "repo": ".", "branches": ["main"], "benchmark_dir": "suite", "results_dir": "results"}
OURS = {"environment_type": "virtualenv", "launch_method": "forkserver", "plugins": [".benchmarks.dashboard.offline"]}


@dataclass(frozen=True)
class Project:
    """A repository of a few empty commits, asv's configuration, and a home that knows the machine."""

    folder: Path
    machine: Mapping[str, str]
    commits: tuple[str, ...]  # oldest first

    def asv(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run asv in the project, which finds our plugin, and return the finished process."""
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "asv", *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def write(self, name: str, content: object) -> None:
        """Write a file of JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without benchmarks or results yet."""
    pytest.importorskip("asv", reason="asv is not installed: make dev")
    pytest.importorskip("asv_bench_convsuite", reason="asv_bench_convsuite is not installed: make dev")
    for variable in [name for name in os.environ if name.startswith(("GIT_", "CONVSUITE_ASV_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = {"arch": "x86_64", "cpu": "a cpu", "machine": "here", "num_cpu": "2", "os": "an os", "ram": "1"}
    made = Project(tmp_path, machine, tuple(_commits(tmp_path)))
    made.write("asv.conf.json", {"version": 1, **SETTINGS, **OURS})
    made.write(".asv-machine.json", {"version": 1, "here": machine})
    return made


def _commits(folder: Path) -> list[str]:
    """Make a repository of three commits, a day apart."""
    _git(folder, "init", "--quiet", "--initial-branch=main")
    for day in (1, 2, 3):
        when = f"2026-01-{day:02}T12:00:00+00:00"
        _git(folder, "commit", "--quiet", "--allow-empty", f"--message={day}", f"--date={when}", committed=when)
    return _git(folder, "rev-list", "--reverse", "main").split()


def _git(folder: Path, *words: str, committed: str = "") -> str:
    somebody = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    environment = os.environ | ({"GIT_COMMITTER_DATE": committed} if committed else {})
    command = ["git", *somebody, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
