"""What today's frameworks mean by their calls is what the register says, and a call that kills costs one probe."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convsuite.meaning import asking, register
from convsuite.meaning.defects import CallDefect
from convsuite.meaning.defects import recorded as defects
from convsuite.meaning.dialect import dialects, missing
from convsuite.meaning.records import Call
from convsuite.meaning.survey import Asked, survey

DIALECTS = dialects()


@pytest.mark.parametrize("name", DIALECTS)
def test_the_register_is_what_the_framework_means(name: str) -> None:
    if absent := missing(DIALECTS[name]):
        pytest.skip(f"{', '.join(absent)} not installed")
    rows = survey([a for a in asking.every(DIALECTS) if a.backend == name])
    assert [f"{row} was {old}" for row, old in register.changes(rows).items()] == []
    assert all(map(register.known, rows))


TRY = """
import os, sys
from convsuite.meaning.dialect import dialects
from convsuite.meaning.evaluate import words
dialect = dialects()[sys.argv[1]]
os.environ.update(dialect.environment)
import numpy as np
try:
    print(dialect.array(eval(sys.argv[2], {"np": np, **dialect.names()})).tolist())
except Exception as error:
    print(words(error))
"""


@pytest.mark.parametrize("defect", defects(), ids=lambda one: one.call)
def test_a_call_that_is_a_defect_gives_what_is_told(defect: CallDefect) -> None:
    if absent := missing(DIALECTS[defect.backend]):
        pytest.skip(f"{', '.join(absent)} not installed")
    argv = [sys.executable, "-c", TRY, defect.backend, defect.call]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout.strip()
    assert said.startswith(defect.gave.removesuffix("…")), "fixed upstream? then its entry goes"


def test_a_process_that_dies_costs_one_probe() -> None:
    pytest.importorskip("torch")
    kills = "__import__('os').abort() if kernel == (2, 2) else torch.nn.functional.conv2d(x, w)"
    lines = (kills, "torch.nn.functional.conv2d(x, w)")
    killed, unharmed = survey([Asked("torch", Call("conv_flip", line, "NCHW", "OIHW", "NCHW")) for line in lines])
    assert (killed.answered, killed.asked, killed.meanings) == (2, 3, ("cross-correlation",))
    assert "SIGABRT" in killed.words
    assert (unharmed.answered, unharmed.meanings) == (3, ("cross-correlation",))
