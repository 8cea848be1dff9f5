"""Print the figures that convsuite holds itself to: start-up, checks a second, overhead over bare calls, memory.

    python benchmarks/figures.py                      all of them, on the default suite
    python benchmarks/figures.py startup throughput   some of them

Nothing here is asserted: a shared machine is noisy, so ratios are taken within one run and medians are shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
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
    from convsuite.case import Array, Case

    Operands = tuple[Array, ...]

_READY_S = 300  # for the processes to start, before anything is timed
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
    """Checks a second of the NumPy engine alone, by the wall time of the real command; the goal is 500.

    All is counted: interpreter, reading and selecting cases, worker, calls, reference, judge, database, summary. The
    second rate leaves the start-up out, which is what the same command takes for a single case.
    """
    checks, whole = _checked("operation=conv", asked.level)
    single, start = _checked("conv/basic/cross_correlation", asked.level)
    rate = f"{checks} checks in {whole:.1f} s = {checks / whole:.0f} a second"
    print(f"throughput  numpy_im2col, level {asked.level}: {rate}  (goal 500)")
    rest = f"{(checks - single) / (whole - start):.0f} a second" if whole > 2 * start else "too short to tell"
    print(f"            without the start-up of {start:.1f} s: {rest}")


def _checked(selector: str, level: str) -> tuple[int, float]:
    """Run a selection on the NumPy engine; return the number of checks and the command's wall time in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["check", selector, "--backend", "numpy_im2col", "--level", level, "--db", f"{folder}/r.db"]
        begun = time.perf_counter()
        out = subprocess.run([str(CONVSUITE), *words], capture_output=True, text=True, check=False).stdout
        spent = time.perf_counter() - begun
    checks = re.search(r"(\d+) checks of", out)
    if checks is None:
        raise SystemExit(out)
    return int(checks[1]), spent


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
    """Whole check ÷ bare loop: the same frameworks, calls and number of processes, side by side; the goal is 1.15.

    `check` is timed whole, from the start of its interpreter to its end, with nothing taken off. The bare loop holds
    none of our costs but the backend's own methods: its processes have started, and hold the cases and their operands,
    before the clock does. Counted from there on, until the last process has made its last call: importing the
    framework, bringing operands to it, building (compiling) each geometry's function, and two calls of each pass,
    waited for. Nothing is read back, compared or kept. Where a call kills its process, counted too is the new one that
    goes on behind it, as `check` needs one as well.
    """
    names = _chosen(asked.backend or [])
    bare = _bare(names, asked.level)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(CONVSUITE), "check", "operation=conv", "--level", asked.level, "--db", f"{folder}/r.db"]
        whole = _timed([*command, *(word for name in names for word in ("--backend", name))])
    print(f"overhead    {', '.join(names)}")
    print(f"            check {whole:.1f} s, bare calls {bare:.1f} s, ratio {whole / bare:.3f}  (goal 1.15)")


def _bare(names: list[str], level: str) -> float:
    """Make the calls of all backends side by side; return the seconds from when all are ready to the last call."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        made = _written(level, Path(folder) / "cases")
        ready = context.Barrier(len(names) + 1, timeout=_READY_S)
        under_way = {}
        for name in names:
            at = context.Value("i", 0)
            under_way[name] = at, _bare_process(context, name, made, at, ready)
        ready.wait()
        begun = time.perf_counter()
        _until_done(context, under_way, made)
        return time.perf_counter() - begun


def _written(level: str, path: Path) -> Path:
    """Write down cases and operands, so that no process has to make them, nor one that goes on behind a death."""
    from convsuite import casefile, selectors
    from convsuite.operands import fill

    cases = selectors.select(casefile.builtin(level).cases, ("operation=conv",), level)
    path.write_bytes(pickle.dumps([(case, fill(case)) for case in cases]))
    return path


def _until_done(context: Any, under_way: dict[str, tuple[Any, Any]], made: Path) -> None:
    """Wait for all processes; one that a call kills goes on behind it in a new one."""
    while under_way:
        wait([process.sentinel for _, process in under_way.values()])
        for name, (at, process) in list(under_way.items()):
            if process.exitcode == 0:
                del under_way[name]
            elif process.exitcode is not None:
                at.value += 1
                under_way[name] = at, _bare_process(context, name, made, at, None)


def _bare_process(context: Any, name: str, made: Path, at: Any, ready: Any) -> Any:
    process = context.Process(target=_bare_calls, args=(name, made, at, ready))
    process.start()
    return process


def _bare_calls(name: str, made: Path, at: Any, ready: Any) -> None:
    """Make every call of the suite with one backend from case number `at` on; judge nothing, keep nothing."""
    from convsuite.lane import thread_environment

    os.environ.update(thread_environment(1))
    from convsuite.backend import find

    cls = find(name).load()
    os.environ.update(cls.environment)
    cases: list[tuple[Case, Operands]] = pickle.loads(made.read_bytes())
    if ready is not None:
        ready.wait()
    backend = cls("cpu")  # imports the framework
    for at.value in range(at.value, len(cases)):  # noqa: B020 - counts on where a process died
        case, operands = cases[at.value]
        with suppress(Exception):  # invalid cases raise, as they should
            _bare_case(backend, case, operands)
    os._exit(0)  # how long an interpreter takes to close is nobody's cost here


def _bare_case(backend: Backend, case: Case, operands: Operands) -> None:
    from convsuite.case import Level, Pass

    if backend.support(case).level is Level.UNSUPPORTED:
        return
    native = [backend.to_native(a, o, case) for a, o in zip(operands, case.operands, strict=True)]
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


def _chosen(names: list[str]) -> list[str]:
    """Return the backends named, or all that are installed; raise BackendError where one cannot be had."""
    from convsuite.checking import choose

    return [entry.name for entry in choose(names, all_variants=False)]


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
