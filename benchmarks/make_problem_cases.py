"""Make the case files of real layers, conv/problems_*.yaml, from data/conv_problems.csv.

    python benchmarks/make_problem_cases.py

Shapes are taken as they are, but for the batch, which is 1. Of each list, level default gets one problem that is small
in itself, and level full a few, spread from the smallest to the largest that it allows. The same rows always give the
same files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import prod
from pathlib import Path

CASES = Path(__file__).parents[1] / "cases" / "convsuite_cases"


@dataclass(frozen=True)
class Problem:
    """One row."""

    row: dict[str, str]

    def axes(self, key: str) -> tuple[int, ...]:
        return tuple(int(n) for n in self.row[key].split("x"))

    def number(self, key: str) -> int:
        return int(self.row[key])

    @cached_property
    def flops(self) -> int:
        taps = prod(self.axes("kernel")) * self.number("c_in") // self.number("groups")
        return 2 * prod(self.axes("output")) * self.number("c_out") * taps

    @cached_property
    def elements(self) -> int:
        """Elements of input, weight and output."""
        c_in, c_out = self.number("c_in"), self.number("c_out")
        weight = prod(self.axes("kernel")) * c_in * c_out // self.number("groups")
        return prod(self.axes("input")) * c_in + weight + prod(self.axes("output")) * c_out

    @property
    def shape(self) -> tuple[str, ...]:
        """All that makes it another problem."""
        return tuple(value for key, value in self.row.items() if key not in ("list", "name", "repeats", "n"))

    @property
    def padding(self) -> str:
        pairs = list(zip(self.axes("pad_low"), self.axes("pad_high"), strict=True))
        low = pairs[0][0]
        return str(low) if set(pairs) == {(low, low)} else str([list(pair) for pair in pairs])

    def case(self, name: str) -> str:
        """Return the case, as YAML."""
        row = self.row
        keys = {
            "channels": f"{{in: {row['c_in']}, out: {row['c_out']}}}",
            "groups": row["groups"],
            "input": str(list(self.axes("input"))),
            "kernel": str(list(self.axes("kernel"))),
            "stride": str(list(self.axes("stride"))),
            "dilation": str(list(self.axes("dilation"))),
            "padding": self.padding,
        }
        plain = {"groups": "1", "stride": str([1] * len(self.axes("kernel"))), "padding": "0"} | {
            "dilation": str([1] * len(self.axes("kernel")))
        }
        written = "".join(f"    {key}: {value}\n" for key, value in keys.items() if plain.get(key) != value)
        shape = [1, self.number("c_out"), *self.axes("output")]
        source = f"oneDNN benchdnn, list {row['list']}" + (f", {row['name']}" if row["name"] else "")
        return (
            f"  - name: {name}\n{written}    expect: {{shape: {shape}}}\n"
            f'    source: "{source}"\n    tags: [network, {row["list"]}]\n'
        )


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


def read() -> list[Problem]:
    """Return the problems, each shape once."""
    with (CASES / "data" / "conv_problems.csv").open(newline="") as opened:
        problems = [Problem(row) for row in csv.DictReader(opened)]
    return list({p.shape: p for p in reversed(problems)}.values())[::-1]


def chosen(problems: Iterable[Problem], choice: Choice) -> Iterator[Problem]:
    """Yield up to `each` problems of every list, evenly spread by their FLOPs."""
    by_list = sorted(problems, key=lambda p: (p.row["list"], p.flops))
    for _, group in groupby(by_list, key=lambda p: p.row["list"]):
        fitting = [p for p in group if p.flops <= choice.flops and p.elements <= choice.elements]
        count = min(choice.each, len(fitting))
        yield from (fitting[(2 * i + 1) * len(fitting) // (2 * count)] for i in range(count))


def names(problems: Iterable[Problem]) -> Iterator[tuple[str, Problem]]:
    """Yield each problem with a name of its own: list and name, and a number where there is another like it."""
    seen: dict[str, int] = {}
    for problem in problems:
        part = re.sub(r"[^A-Za-z0-9_.-]+", "_", problem.row["name"]).strip("_")
        name = f"{problem.row['list']}.{part}".rstrip(".")[:70]
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name}.{seen[name]}"), problem


def main() -> None:
    problems = read()
    for choice in CHOICES:
        cases = [problem.case(name) for name, problem in names(chosen(problems, choice))]
        (CASES / "conv" / choice.file).write_text(choice.head + "\n".join(cases))
        print(f"{choice.file}: {len(cases)} cases of {len(problems)} shapes")


if __name__ == "__main__":
    main()
