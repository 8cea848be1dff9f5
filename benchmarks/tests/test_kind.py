"""Our kind of benchmark in the real asv: what it asks for once, hands out, skips and lets fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

SUITE = """
from collections import namedtuple
from pathlib import Path

Timed = namedtuple("Timed", "samples number")


def samples_good(quick):
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write(f"quick={quick}\\n")
    return {
        ("a", 1): Timed((0.25, 0.5, 0.75), 8),
        ("a", 2): "not installed",
        ("b", 1): Timed((), 8),
        ("b", 2): Timed((1.0, float("nan")), 8),
    }


samples_good.params = [["a", "b", "c"], [1, 2]]
samples_good.param_names = ["case", "n"]
samples_good.version = "a digest"


def samples_bad(quick):
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write("bad\\n")
    raise ValueError("out of order")


samples_bad.params = [["a", "b"]]
"""


@pytest.fixture
def suite(project: Any) -> Path:
    """The benchmarks, and the file `calls` that each call adds a line to."""
    folder = project.folder / "suite"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "many.py").write_text(SUITE, encoding="utf-8")
    return folder


def _run(project: Any, *words: str) -> tuple[int, str, dict[str, Any]]:
    done = project.asv("run", "--environment", "existing:same", "--set-commit-hash", "HEAD", "--show-stderr", *words)
    (path,) = (project.folder / "results" / "here").glob("*-existing-*.json")
    saved = json.loads(path.read_text(encoding="utf-8"))
    named = {k: dict(zip(saved["result_columns"], v, strict=False)) for k, v in saved["results"].items()}
    return done.returncode, done.stdout + done.stderr, named


def test_a_run(project, suite):
    """A function is called once; a text is a skip, and anything that is no time is a failure, never a number."""
    code, said, results = _run(project, "--record-samples")
    assert code == 2, said  # asv's way to say that some failed
    good = results["many.samples_good"]
    assert good["result"][0] == 0.5
    assert math.isnan(good["result"][1])
    assert good["result"][2:] == [None] * 4  # no samples, a NaN, and twice nothing at all
    assert good["samples"][0] == [0.25, 0.5, 0.75]
    assert good["stats_number"][0] == 8
    assert good["version"] == "a digest"
    assert results["many.samples_bad"]["result"] is None  # asv's way to write that all failed
    assert "asv: skipped: not installed" in said
    assert "ValueError: out of order" in said
    assert sorted((suite / "calls").read_text().split()) == ["bad", "quick=False"]


def test_quick_and_rounds(project, suite):
    """--quick reaches the function; a round that is asked for is another measurement, not the same samples again."""
    _run(project, "--quick", "--bench", "good")
    assert (suite / "calls").read_text().split() == ["quick=True"]
    code, said, results = _run(project, "--bench", r"good\('a', 1\)", "--attribute", "rounds=2", "--record-samples")
    assert code == 0, said
    assert results["many.samples_good"]["samples"][0] == [0.25, 0.5, 0.75] * 2
    assert (suite / "calls").read_text().split() == ["quick=True", "quick=False", "quick=False"]


def test_check(project, suite):
    """`asv check` takes the kind for what it is."""
    assert "No problems found" in project.asv("check", "--environment", "existing:same").stdout
    (suite / "many.py").write_text("def samples_x(quick, more): ...\n", encoding="utf-8")
    assert project.asv("check", "--environment", "existing:same").returncode == 1


def test_a_run_that_is_cut_off_is_not_tried_again(project, monkeypatch):
    """What a timeout kills leaves word for the combinations that follow."""
    from asv_bench_convsuite.handout import Handout

    def killed() -> Any:
        raise SystemExit

    monkeypatch.chdir(project.folder)
    handout = Handout(Path("x"), [("a",), ("b",)])
    with pytest.raises(SystemExit):
        handout.take(("a",), killed)
    entry = handout.take(("b",), killed)
    assert entry.failed
    assert "cut off" in entry.reason
