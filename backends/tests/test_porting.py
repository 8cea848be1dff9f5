"""Every snippet of docs/porting.md runs, and all sides of a group give the same array, bit for bit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "porting.md"
FRAMEWORKS = {"TensorFlow": "tensorflow", "Keras": "keras", "PyTorch": "torch", "JAX": "jax"}

# one process a framework: two in one may take each other's libraries
RUN = """
import json, sys
import numpy as np
for name, code in json.load(sys.stdin).items():
    names = {}
    exec(compile(code, name, "exec"), names)
    np.save(f"{sys.argv[1]}/{name}.npy", names["y"])
"""


def groups(page: str) -> list[list[str]]:
    """The snippets of each group: first what both sides share, then the sides."""
    marked = re.findall(r"<!-- snippets -->\n(.*?)<!-- /snippets -->", page, re.DOTALL)
    return [re.findall(r"```python\n(.*?)```", text, re.DOTALL) for text in marked]


def framework(snippet: str) -> str:
    """The framework that a snippet's first line names."""
    named = re.match(r"# (\w+)", snippet)
    assert named
    return FRAMEWORKS[named[1]]


GROUPS = groups(PAGE.read_text(encoding="utf-8"))
SIDES = [(g, s) for g, snippets in enumerate(GROUPS) for s in range(1, len(snippets))]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory):
    """A function that runs all of a framework's snippets, once, and returns the array of one of them."""
    folder = tmp_path_factory.mktemp("answers")

    @cache
    def run(name: str) -> str:
        code = {f"{g}_{s}": GROUPS[g][0] + GROUPS[g][s] for g, s in SIDES if framework(GROUPS[g][s]) == name}
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(folder)],
            input=json.dumps(code),
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def answer(group: int, side: int) -> np.ndarray:
        name = framework(GROUPS[group][side])
        absent = [module for module in {name, "tensorflow" if name == "keras" else name} if find_spec(module) is None]
        if absent:
            pytest.skip(f"{absent[0]} is not installed")
        failed = run(name)
        path = folder / f"{group}_{side}.npy"
        assert path.exists(), failed[-2000:]
        return np.load(path)

    return answer


@pytest.mark.parametrize(("group", "side"), [(g, s) for g, s in SIDES if s > 1])
def test_both_sides_agree(answers, group: int, side: int) -> None:
    first, other = answers(group, 1), answers(group, side)
    assert first.shape == other.shape
    assert first.size
    assert len(np.unique(first)) > 5, "too few different values to tell anything"
    assert np.array_equal(first, other)


def test_every_question_of_porters_has_snippets_for_both_sides() -> None:
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    numbered = [section for section in sections if re.match(r"\d", section)]
    assert [int(section.partition(".")[0]) for section in numbered] == list(range(1, 10))
    for section in numbered:
        assert groups(section), section.partition("\n")[0]
    for snippets in GROUPS:
        assert len({framework(s) for s in snippets[1:]}) > 1
        assert all("y = " in s for s in snippets[1:])
    assert PAGE.read_text(encoding="utf-8").count("```python") == sum(map(len, GROUPS))
