"""Make the case files of real layers, conv/problems_*.yaml and the suites of level real, from the CSV files in data/.

    python -m benchmarks.make_problem_cases

Shapes are taken as they are, but for the batch, which is 1. Of each list of convolutions, level default gets one
problem that is small in itself, and level full a few, spread from the smallest to the largest that it allows. What is
of level real, problem_suites.py says. The same rows always give the same files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from .problem_suites import suites
from .problems import CASES, Conv, fit, rows, unique


@dataclass(frozen=True)
class Choice:
    """Which problems a file gets, and how it begins."""

    file: str
    head: str
    flops: int
    elements: int
    each: int  # problems of one list at most


HEAD = """\
# Layers of real networks, and shapes that once broke a library: {what}.
# Made by benchmarks/make_problem_cases.py; the shapes come from oneDNN's benchdnn (Apache-2.0), whose DeepBench lists
# come from DeepBench (Apache-2.0). Batch 1; nothing else is scaled.
#
# Worth it because made-up shapes are small and round, and what libraries dispatch on is not: odd channel counts, one
# row, pads larger than the kernel, outputs that stop short of the last window (a negative pad).
operation: conv
description: Real layers.
defaults: {{passes: [{passes}], level: {level}}}
cases:
"""

CHOICES = (
    Choice(
        "problems_default.yaml",
        HEAD.format(what="one of each list, small", passes="forward, grad_input, grad_weight", level="default"),
        flops=2_000_000,
        elements=60_000,
        each=1,
    ),
    Choice(
        "problems_full.yaml",
        HEAD.format(what="some of each list, up to 300 MFLOP", passes="forward", level="full"),
        flops=300_000_000,
        elements=8_000_000,
        each=6,
    ),
)


def read() -> list[Conv]:
    """Return the convolutions, each shape once."""
    found = [Conv(row) for row in rows("conv")]
    return list({p.shape: p for p in reversed(found)}.values())[::-1]


def chosen(problems: Iterable[Conv], choice: Choice) -> Iterator[Conv]:
    """Yield up to `each` problems of every list, evenly spread by their FLOPs."""
    by_list = sorted(problems, key=lambda p: (p.row["list"], p.flops))
    for _, group in groupby(by_list, key=lambda p: p.row["list"]):
        fitting = [p for p in group if p.flops <= choice.flops and p.elements <= choice.elements]
        count = min(choice.each, len(fitting))
        yield from (fitting[(2 * i + 1) * len(fitting) // (2 * count)] for i in range(count))


def texts() -> Iterator[tuple[str, str]]:
    """Yield each file, as its path below the cases and its text."""
    problems = read()
    for choice in CHOICES:
        picked = list(chosen(problems, choice))
        names = unique(f"{p.row['list']}.{fit(p.row['name'])}".rstrip(".")[:70] for p in picked)
        lists = (f"[network, {p.row['list']}]" for p in picked)
        cases = [p.case(name, tags=tags) for p, name, tags in zip(picked, names, lists, strict=True)]
        yield f"conv/{choice.file}", choice.head + "\n".join(cases)
    yield from suites()


def write(folder: Path) -> None:
    """Write all files below a folder."""
    for name, text in texts():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(CASES)
