"""Print the figures that convsuite holds itself to: start-up, checks a second, overhead over bare calls, memory.

    python benchmarks/figures.py                      all of them, on the default suite
    python benchmarks/figures.py startup throughput   some of them

Nothing here is asserted: a shared machine is noisy, so ratios are taken within one run and medians are shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

CONVSUITE = Path(sys.executable).with_name("convsuite")


def main() -> None:
    figures = {"startup": startup, "throughput": throughput, "memory": memory, "overhead": overhead}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[*figures, []], help="which; all by default")
    parser.add_argument("--level", default="default", choices=["smoke", "default", "full"])
    parser.add_argument("--backend", action="append", help="for `overhead`; repeatable [default: all installed]")
    asked = parser.parse_args()
    for name in asked.figures or figures:
        figures[name](asked)


def startup(asked: argparse.Namespace) -> None:
    """Wall time of the two commands that people type without thinking; the goal is 0.3 s."""
    for command in (["--help"], ["list", "cases"]):
        times = [_timed([str(CONVSUITE), *command]) for _ in range(9)]
        print(
            f"startup     convsuite {' '.join(command):<11} median {median(times):.3f} s, least {min(times):.3f} s  (goal 0.3 s)"
        )


def throughput(asked: argparse.Namespace) -> None:
    """Checks a second of the NumPy engine alone, all of a run counted but its start; the goal is 500."""
    with tempfile.TemporaryDirectory() as folder:
        from convsuite import casefile, run, selectors
        from convsuite.known import KnownFailures
        from convsuite.lane import Lane, Settings

        cases = selectors.select(casefile.builtin().cases, ("operation=conv",), asked.level)
        lanes, _ = run.start([Lane("numpy_im2col", "cpu", Settings(workdir=Path(folder)))])
        begun = time.perf_counter()
        checks = sum(len(report.outcomes) for report in run.check(cases, lanes, KnownFailures()))
        spent = time.perf_counter() - begun
        lanes[0].close()
    print(
        f"throughput  numpy_im2col, {len(cases)} cases: {checks} checks in {spent:.1f} s = {checks / spent:.0f} a second  (goal 500)"
    )


def memory(asked: argparse.Namespace) -> None:
    """Peak memory of the parent process for two suites of different size; the goal is 300 MB, whatever the number."""
    for level in ("smoke", asked.level):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(CONVSUITE), "check", "--backend", "numpy_im2col", "--level", level, "--db", f"{folder}/r.db"]
            code = "import resource, subprocess, sys; from convsuite.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
            code += "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
            out = subprocess.run(
                [sys.executable, "-c", code, *command[1:]], capture_output=True, text=True, check=True
            ).stdout
        peak = re.search(r"PEAK (\d+)", out)
        cases = re.search(r"checks of (\d+) cases", out)
        assert peak and cases, out
        print(f"memory      parent, level {level}, {cases[1]} cases: peak {int(peak[1]) / 1024:.0f} MB  (goal 300 MB)")


def overhead(asked: argparse.Namespace) -> None:
    """Whole check ÷ bare loop that imports the same frameworks and makes the same calls in as many processes; goal 1.15."""
    names = asked.backend or _installed()
    bare = _bare(names, asked.level)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(CONVSUITE), "check", "--level", asked.level, "--db", f"{folder}/r.db"]
        whole = _timed([*command, *(word for name in names for word in ("--backend", name))])
    print(
        f"overhead    {', '.join(names)}: check {whole:.1f} s, bare calls {bare:.1f} s, ratio {whole / bare:.3f}  (goal 1.15)"
    )


def _bare(names: list[str], level: str) -> float:
    begun = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_bare_calls, args=(name, level)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - begun


def _bare_calls(name: str, level: str) -> None:
    """Make every call of the suite with one backend, judge nothing, keep nothing."""
    from convsuite.lane import thread_environment

    os.environ.update(thread_environment(1))
    from convsuite import casefile, selectors
    from convsuite.backend import find
    from convsuite.case import Level, Pass, geometry
    from convsuite.operands import fill

    cls = find(name).load()
    os.environ.update(cls.environment)
    backend = cls("cpu")
    functions: dict[Any, Any] = {}
    for case in selectors.select(casefile.builtin().cases, ("operation=conv",), level):
        if backend.support(case).level is Level.UNSUPPORTED:
            continue
        arrays = fill(case)
        native = [backend.to_native(a, o, case) for a, o in zip(arrays, case.operands, strict=True)]
        inputs = native[:-1] if case.wants_gradient else native
        try:
            if Pass.FORWARD in case.passes:
                function = functions.setdefault(("forward", geometry(case)), None) or backend.forward(case)
                functions["forward", geometry(case)] = function
                for _ in range(2):
                    backend.synchronize(function(*inputs))
            if case.wants_gradient and backend.gradient_support(case).level is not Level.UNSUPPORTED:
                function = functions.setdefault(("backward", geometry(case)), None) or backend.backward(case)
                functions["backward", geometry(case)] = function
                for _ in range(2):
                    for gradient in function(inputs, native[-1]):
                        backend.synchronize(gradient)
        except Exception:  # noqa: S112 - invalid cases raise, as they should
            continue


def _installed() -> list[str]:
    from convsuite.checking import choose

    return [entry.name for entry in choose((), all_variants=False)]


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
