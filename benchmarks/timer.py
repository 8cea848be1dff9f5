"""Print how far the timer of `convsuite bench` can be trusted: rates of false and of missed calls, and what it costs.

    python benchmarks/timer.py                 all of it: some 30 minutes, on a machine with nothing else to do
    python benchmarks/timer.py calls --problems 20
    python benchmarks/timer.py overhead smoke

`calls` times one backend, the same once more under another name, and the same with 10 % of busy waiting behind each
call, side by side and twice over. Nothing here is asserted: what a noisy machine gives is printed as it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

CONVSUITE = Path(sys.executable).with_name("convsuite")
SUITES = ("resnet_50_v1_5", "googlenet_v3", "mobilenet", "unet", "bench_smoke")
MOST_FLOPS = 500_000_000  # of a problem: 5 ms or so on one core

# the same backend three times; the last is slowed down by a tenth of each call's own time
PLANTED = """
import time
from convsuite.backend import find

Base = find({name!r}).load()

class Same(Base):
    pass

class Slowed(Base):
    def forward(self, case, method=""):
        function = super().forward(case, method)

        def slowed(*operands):
            begun = time.perf_counter_ns()
            result = function(*operands)
            self.synchronize(result)
            now = time.perf_counter_ns()
            until = now + (now - begun) // 10
            while time.perf_counter_ns() < until:
                pass
            return result

        return slowed
"""
NAMES = ("timer_one", "timer_same", "timer_slowed")


def main() -> None:
    figures: dict[str, Callable[[argparse.Namespace], None]] = {
        "overhead": overhead, "smoke": smoke, "asv": asv, "calls": calls,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[*figures, []], help="which; all by default")
    parser.add_argument("--backend", default="torch", help="whose calls are compared with themselves")
    parser.add_argument("--problems", type=int, default=50, help="of how many problems")
    asked = parser.parse_args()
    for name in asked.figures or figures:
        figures[name](asked)


def overhead(_: argparse.Namespace) -> None:
    """Print what a timed call costs beyond the call itself: an empty one, timed, against an empty loop's turn."""
    from convsuite.bench.worker import _Prepared
    from convsuite.case import Pass
    from convsuite.timing import STANDARD, hot
    from convsuite_backends.numpy_im2col import NumpyIm2col

    cell = _Prepared(NumpyIm2col(), None, Pass.FORWARD, (), lambda: None)  # type: ignore[arg-type]
    timed = min(hot(cell.call, STANDARD).seconds)
    print(f"overhead    {1e9 * (timed - min(_empty_turns())):.0f} ns a timed call  (goal: under 1000)")


def _empty_turns() -> Iterator[float]:
    for _ in range(50):
        begun = time.perf_counter_ns()
        for _ in repeat(None, 100_000):
            pass
        yield (time.perf_counter_ns() - begun) / 1e5 / 1e9


def smoke(_: argparse.Namespace) -> None:
    """Print how long `convsuite bench smoke` takes for four backends."""
    names = [word for name in ("numpy_im2col", "torch", "tensorflow", "jax") for word in ("-b", name)]
    with tempfile.TemporaryDirectory() as folder:
        took = _timed([str(CONVSUITE), "bench", "smoke", *names, "--db", f"{folder}/r.db"])
    print(f"smoke       {took:.0f} s for four backends  (goal: under 90)")


def asv(_: argparse.Namespace) -> None:
    """Print how long `asv run --quick` takes over the smoke suite, on the environment that is there."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    command = [sys.executable, "-m", "asv", "run", "--quick", "--dry-run", "--environment", "existing:same"]
    environment = {"CONVSUITE_ASV_BACKENDS": "numpy_im2col,torch,tensorflow,jax"}
    took = _timed([*command, "--set-commit-hash", commit], environment)
    print(f"asv         {took:.0f} s for `asv run --quick`  (goal: under 180)")


def calls(asked: argparse.Namespace) -> None:
    """Print how often the same is called different, and how often a planted slowdown of 10 % is called."""
    from convsuite.bench.estimate import Verdict, is_unstable, middle, ratio, verdict

    runs = []
    with planted(asked.backend):
        runs = [_run(asked.problems, seed) for seed in (0, 1)]
    same, slowed, both = Counter[Verdict](), Counter[Verdict](), list[float]()
    unmarked = Counter[str]()  # what would be said if nothing were marked as noisy
    for cells in runs:
        for cell in {case for case, _ in cells}:
            one, again, slow = (cells.get((cell, name), []) for name in NAMES)
            if one and again and slow:
                same[ratio(again, one).verdict] += 1
                slowed[ratio(slow, one).verdict] += 1
                for what, times in (("same", again), ("slowed", slow)):
                    found = ratio(times, one)
                    unmarked[f"{what} {verdict(found.value, found.interval).value}"] += 1
    for key, times in runs[0].items():
        other = runs[1].get(key)
        if other and not is_unstable(times) and not is_unstable(other):
            both.append(middle(other) / middle(times))
    print(f"calls       {asked.backend}, {asked.problems} problems, twice, five processes each")
    print(f"            against itself: {_counts(same)}")
    false, stable = same[Verdict.FASTER] + same[Verdict.SLOWER], sum(same.values()) - same[Verdict.NOISY]
    print(f"            called different: {false} of {stable} that are not noisy  (goal: 1 in 100)")
    print(f"            10 % slower: {_counts(slowed)}")
    stable = sum(slowed.values()) - slowed[Verdict.NOISY]
    print(f"            called slower: {slowed[Verdict.SLOWER]} of {stable} that are not noisy  (goal: 95 in 100)")
    print(f"            if nothing were marked as noisy: {', '.join(f'{n} {k}' for k, n in sorted(unmarked.items()))}")
    near = sum(abs(r - 1) <= 0.05 for r in both)
    print(f"            medians of two runs within 5 %: {near} of {len(both)} stable cells  (goal: 90 %)")


def _run(problems: int, seed: int) -> dict[tuple[str, str], list[Any]]:
    """Time the three backends; return their times by case and backend."""
    from convsuite import known, terminal
    from convsuite.bench.engine import Plan, Turn, bench
    from convsuite.bench.records import Timing
    from convsuite.case import Pass

    plan = Plan(cases=_problems(problems), passes=(Pass.FORWARD,), backends=NAMES, seed=seed)
    found: dict[tuple[str, str], list[Any]] = {}
    progress = terminal.progress(terminal.console_for(sys.stderr), plan.total, "turn")
    with tempfile.TemporaryDirectory() as workdir, progress as advance:
        for event in bench(plan, known.load([], frozenset()), Path(workdir)):
            if isinstance(event, Turn):
                advance(0)
            if isinstance(event, Timing):
                found.setdefault((event.cell.case_id, event.cell.backend), []).append(event)
    return found


def _problems(number: int) -> Sequence[Any]:
    """Return problems that are not too slow, evenly spread over the suites' own order."""
    from convsuite import casefile
    from convsuite.operations import of

    _, cases = casefile.selected((), [f"conv/{suite}/*" for suite in SUITES], "real")
    fitting = [case for case in cases if of(case).work(case).flops <= MOST_FLOPS]
    number = min(number, len(fitting))
    return tuple(fitting[i * len(fitting) // number] for i in range(number))


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Register the three backends as an installed distribution would, for this process and those that it starts."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "timer_planted.py").write_text(PLANTED.format(name=name))
        info = Path(folder, "timer_planted-0.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: timer-planted\nVersion: 0\n")
        classes = zip(NAMES, ("Base", "Same", "Slowed"), strict=True)
        lines = [f"{own} = timer_planted:{cls}" for own, cls in classes]
        (info / "entry_points.txt").write_text("\n".join(["[convsuite.backends]", *lines, ""]))
        sys.path.insert(0, folder)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *([before] if before else [])])
        yield


def _counts(verdicts: Counter[Any]) -> str:
    return ", ".join(f"{n} {verdict.value}" for verdict, n in verdicts.most_common())


def _timed(command: list[str], environment: dict[str, str] | None = None) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if done.returncode not in (0, 2):  # asv's 2 means that some combinations have no time
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
