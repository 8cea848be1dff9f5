"""Every snippet of docs/porting.md runs, and all sides of a group give the same array, bit for bit.

A function that the page gives between marks of a helper is there for every snippet that names it. The table of what
TensorFlow has on a CPU is tried, cell by cell.
"""

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


def code_of(head: str, side: str) -> str:
    """What is run for a side of a group: the helpers that it names, what both sides share, and the side."""
    return "".join([code for name, code in HELPERS.items() if name in head + side] + [head, side])


def framework(snippet: str) -> str:
    """The framework that a snippet's first line names."""
    named = re.match(r"# (\w+)", snippet)
    assert named
    return FRAMEWORKS[named[1]]


TEXT = PAGE.read_text(encoding="utf-8")
GROUPS = groups(TEXT)
HELPERS = {
    re.findall(r"^def (\w+)", code, re.MULTILINE)[0]: code
    for code in re.findall(r"<!-- helper -->\n```python\n(.*?)```\n<!-- /helper -->", TEXT, re.DOTALL)
}
SIDES = [(g, s) for g, snippets in enumerate(GROUPS) for s in range(1, len(snippets))]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory):
    """A function that runs all of a framework's snippets, once, and returns the array of one of them."""
    folder = tmp_path_factory.mktemp("answers")

    @cache
    def run(name: str) -> str:
        code = {f"{g}_{s}": code_of(GROUPS[g][0], GROUPS[g][s]) for g, s in SIDES if framework(GROUPS[g][s]) == name}
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
    assert TEXT.count("```python") == sum(map(len, GROUPS)) + len(HELPERS)


def test_a_helper_is_given_once_and_used() -> None:
    assert HELPERS
    for name in HELPERS:
        assert TEXT.count(f"def {name}(") == 1
        assert any(name in "".join(group) for group in GROUPS), name


# what a cell of the table says: a call fails, has no gradient, or has one
TRY = """
import json, re, sys
import tensorflow as tf

def said(line, dtype):
    flat = {"NHWC": (2, 7, 8, 4), "NCHW": (2, 4, 7, 8), "HWIO": (3, 2, 4, 2)}
    solid = {"NDHWC": (2, 5, 6, 7, 4), "NCDHW": (2, 4, 5, 6, 7), "DHWIO": (2, 3, 2, 4, 2)}
    if "transpose" in line:
        flat["HWIO"], flat["NCHW"] = (3, 2, 3, 4), (2, 4, 6, 8)
    arrays = {name: tf.ones(shape, dtype) for name, shape in {**flat, **solid}.items()}
    used = [arrays[name] for name in set(re.findall("[A-Z]+", re.sub('".*?"', "", line))) & set(arrays)]
    with tf.GradientTape() as tape:
        tape.watch(used)
        try:
            y = eval(line, {"tf": tf, **arrays})
        except tf.errors.OpError:
            return "no"
    try:
        return "yes" if all(g is not None for g in tape.gradient(y, used)) else "forward"
    except tf.errors.OpError:
        return "forward"

print(json.dumps([[said(line, dtype) for dtype in ("float32", "float64")] for line in json.load(sys.stdin)]))
"""


def tried(lines: list[str], onednn: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        input=json.dumps(lines),
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_tensorflow_on_a_cpu_has_what_the_table_says() -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    table = re.findall(r"<!-- tensorflow cpu -->\n(.*?)<!-- /tensorflow cpu -->", TEXT, re.DOTALL)[0]
    rows = re.findall(r"^\| `(.*)`.* \| (\w+) \| (\w+) \| (\w+) \|$", table, re.MULTILINE)
    assert len(rows) > 10
    lines = [row[0] for row in rows]
    for row, (single, double), without in zip(rows, tried(lines, "1"), tried(lines, "0"), strict=True):
        assert (row[0], single, double, *without) == (*row, row[-1])
