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
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convsuite.backend import Backend
    from convsuite.case import Case

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
        name = " ".join(command)
        print(f"startup     convsuite {name:<11} median {median(times):.3f} s, least {min(times):.3f} s  (goal 0.3 s)")


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
    rate = f"{checks} checks in {spent:.1f} s = {checks / spent:.0f} a second"
    print(f"throughput  numpy_im2col, {len(cases)} cases: {rate}  (goal 500)")


_PEAK = """
import resource, sys
from convsuite.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(asked: argparse.Namespace) -> None:
    """Peak memory of the parent process for suites of different size; the goal is 300 MB, whatever the number."""
    for level in dict.fromkeys(("smoke", "default", asked.level)):
        with tempfile.TemporaryDirectory() as folder:
            words = ["check", "--backend", "numpy_im2col", "--level", level, "--db", f"{folder}/r.db"]
            command = [sys.executable, "-c", _PEAK, *words]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peak, cases = re.search(r"PEAK (\d+)", out), re.search(r"checks of (\d+) cases", out)
        if peak is None or cases is None:
            raise SystemExit(out)
        print(f"memory      parent, level {level}, {cases[1]} cases: peak {int(peak[1]) / 1024:.0f} MB  (goal 300 MB)")


def overhead(asked: argparse.Namespace) -> None:
    """Whole check ÷ bare loop that imports the same frameworks and makes the same calls in as many processes."""
    names = asked.backend or _installed()
    bare = _bare(names, asked.level)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(CONVSUITE), "check", "--level", asked.level, "--db", f"{folder}/r.db"]
        whole = _timed([*command, *(word for name in names for word in ("--backend", name))])
    print(f"overhead    {', '.join(names)}")
    print(f"            check {whole:.1f} s, bare calls {bare:.1f} s, ratio {whole / bare:.3f}  (goal 1.15)")


def _bare(names: list[str], level: str) -> float:
    """Make the calls of all backends side by side; a process that a call kills goes on behind it in a new one."""
    begun = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    under_way = {}
    for name in names:
        at = context.Value("i", 0)
        under_way[name] = at, _bare_process(context, name, level, at)
    while under_way:
        wait([process.sentinel for _, process in under_way.values()])
        for name, (at, process) in list(under_way.items()):
            if process.exitcode == 0:
                del under_way[name]
            elif process.exitcode is not None:
                at.value += 1
                under_way[name] = at, _bare_process(context, name, level, at)
    return time.perf_counter() - begun


def _bare_process(context: Any, name: str, level: str, at: Any) -> Any:
    process = context.Process(target=_bare_calls, args=(name, level, at))
    process.start()
    return process


def _bare_calls(name: str, level: str, at: Any) -> None:
    """Make every call of the suite with one backend from case number `at` on; judge nothing, keep nothing."""
    from convsuite.lane import thread_environment

    os.environ.update(thread_environment(1))
    from convsuite import casefile, selectors
    from convsuite.backend import find
    from convsuite.case import Level

    cls = find(name).load()
    os.environ.update(cls.environment)
    backend = cls("cpu")
    cases = selectors.select(casefile.builtin().cases, ("operation=conv",), level)
    for at.value in range(at.value, len(cases)):  # noqa: B020 - counts on where a process died
        if backend.support(cases[at.value]).level is not Level.UNSUPPORTED:
            with suppress(Exception):  # invalid cases raise, as they should
                _bare_case(backend, cases[at.value])


def _bare_case(backend: Backend, case: Case) -> None:
    from convsuite.case import Level, Pass
    from convsuite.operands import fill

    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    inputs = native[:-1] if case.wants_gradient else native
    if Pass.FORWARD in case.passes:
        function = _function(backend, "forward", case)
        for _ in range(2):
            backend.synchronize(function(*inputs))
    if case.wants_gradient and backend.gradient_support(case).level is not Level.UNSUPPORTED:
        function = _function(backend, "backward", case)
        for _ in range(2):
            for gradient in function(inputs, native[-1]):
                backend.synchronize(gradient)


_functions: dict[Any, Any] = {}


def _function(backend: Backend, which: str, case: Case) -> Any:
    """Return a geometry's function from the last four, as convsuite's worker does: a geometry is compiled once."""
    from convsuite.case import geometry

    key = (which, geometry(case))
    function = _functions.pop(key, None) or getattr(backend, which)(case)
    _functions[key] = function
    while len(_functions) > 4:
        del _functions[next(iter(_functions))]
    return function


def _installed() -> list[str]:
    from convsuite.checking import choose

    return [entry.name for entry in choose((), all_variants=False)]


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
