"""The kind: a function `samples_…(quick)` that returns the samples of every combination of its parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from asv_runner.benchmarks._base import Benchmark, _check_num_args, _get_first_attr
from asv_runner.benchmarks.mark import SkipNotImplemented

from asv_bench_convsuite.handout import Handout


class SamplesBenchmark(Benchmark):
    """Times all combinations when asv asks for the first, and hands each its own when asv asks for it.

    asv asks for every combination in a process of its own, in one folder for all benchmarks that share a setup_cache.
    There the samples lie until they are asked for. That is not done in setup_cache itself, which asv tells neither of
    `--quick` nor of any other attribute.
    """

    name_regex = re.compile(r"^samples_.+$")

    def __init__(self, name: str, func: Any, attr_sources: Sequence[Any]) -> None:
        super().__init__(name, func, list(attr_sources))
        self.type = "time"
        self.unit = "seconds"
        self.rounds = 1  # the function starts as many processes as it needs; more rounds are asked for by hand
        self._setup_cache = _nothing
        self.setup_cache_key = "asv_bench_convsuite"  # one folder, and one start of Python, for all of this kind

    @property
    def quick(self) -> bool:
        """Whether asv runs with `--quick`, which reaches a benchmark as attributes of TimeBenchmark's."""
        asked = {name: _get_first_attr(self._attr_sources, name, None) for name in ("repeat", "warmup_time")}
        return asked == {"repeat": 1, "warmup_time": 0}

    def run(self, *params: Any) -> dict[str, Any]:
        """Return the samples of a combination, of all of which some benchmark's first call takes the time."""
        handout = Handout(Path(self.name), list(product(*self._params)))
        entry = handout.take(params, lambda: self.func(quick=self.quick))
        if entry.failed:
            raise RuntimeError(entry.reason)
        if entry.reason:
            print(f"asv: skipped: {entry.reason}")
            raise SkipNotImplemented(entry.reason)
        return {"samples": list(entry.samples), "number": entry.number}

    def check(self, root: str) -> bool:
        """Check that the function takes `quick`, and no parameters."""
        return bool(_check_num_args(root, f"{self.name}: call", self.func, 1))

    def do_profile(self, filename: str | None = None) -> None:
        """Profile nothing: what is timed runs in other processes."""
        print(f"asv: {self.name} has no profile: it is timed in processes of its own")


def _nothing() -> None:
    """Stand where asv wants a setup_cache before it lets processes share a folder."""


export_as_benchmark = [SamplesBenchmark]
