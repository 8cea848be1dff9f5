"""Whatever a backend does to its process, the run goes on, says what happened, and loses no neighbour.

All planted backends run at once, each in a lane of its own beside an honest one, over three cases: a good one, the one
on which they misbehave, and a good one again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import indent

import pytest

from convsuite import casefile, run
from convsuite.case import Outcome, Status
from convsuite.known import KnownFailures
from convsuite.lane import Lane, Settings

CASES = """
operation: conv
defaults: {input: [6, 5], kernel: [3, 2], channels: {in: 2, out: 3}}
cases:
  - {name: before}
  - {name: bad, stride: 2}
  - {name: after, padding: 1}
"""

MODULE = """
import os, signal, sys, threading, time
import numpy as np
from convsuite import Backend
from convsuite_backends.numpy_im2col import NumpyIm2col

class Lazy:
    dtype = np.dtype("float32")
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("the device was lost")

class Planted(NumpyIm2col):
    to_numpy = Backend.to_numpy

    def conv(self, case, x, weight, bias=None):
        y = super().conv(case, x, weight, bias)
        if case.stride == (2, 2):
{fault}
        return y
"""

# name → (what it does on the bad case, what becomes of it, what the message must say)
FAULTS = {
    "segfault": ("import ctypes; ctypes.string_at(0)", Status.CRASH, "SIGSEGV"),
    "exit_zero": ("os._exit(0)", Status.CRASH, "ended by itself with status 0"),
    "exit_three": ("os._exit(3)", Status.CRASH, "ended by itself with status 3"),
    "sys_exit": ("sys.exit(4)", Status.ERROR, "SystemExit: 4"),
    "sigkill": ("os.kill(os.getpid(), signal.SIGKILL)", Status.CRASH, "SIGKILL"),
    "abort": ("os.write(2, b'check failed: pad >= 0'); os.abort()", Status.CRASH, "check failed: pad >= 0"),
    "endless": ("while True: time.sleep(0.01)", Status.TIMEOUT, "no answer after 7 s"),
    "busy": ("while True: pass", Status.TIMEOUT, "no answer after 7 s"),
    "unicode": ("raise ValueError('größe \\ud800 ≠ 大')", Status.ERROR, "größe \\ud800 ≠ 大"),
    "huge": ("raise ValueError('x' * 10_000_000)", Status.ERROR, "… (10000000 characters)"),
    "memory": ("raise MemoryError('no room for 10 GB')", Status.ERROR, "MemoryError: no room for 10 GB"),
    "interrupt": ("raise KeyboardInterrupt", Status.ERROR, "KeyboardInterrupt"),
    "silent_text": (
        "class E(Exception):\n    def __str__(self): raise RuntimeError('no')\nraise E",
        Status.ERROR,
        "its text cannot be made",
    ),
    "shape": ("return y[..., :-1]", Status.MISMATCH, "shape [1, 3, 2, 1], [1, 3, 2, 2] was due"),
    "dtype": ("return y.astype(np.float64)", Status.MISMATCH, "dtype float64, float32 was due"),
    "nan": ("y = y.copy(); y[0, 1, 1, 0] = np.nan; return y", Status.MISMATCH, "worst at [0, 1, 1, 0]: got nan"),
    "complex": ("return y.astype(np.complex64)", Status.MISMATCH, "returned an array of complex64, an array of shape"),
    "strings": ("return y.astype(str)", Status.MISMATCH, "returned an array of <U"),
    "none": ("return None", Status.MISMATCH, "returned None"),
    "text": ("return 'y'", Status.ERROR, "AttributeError"),
    "lazy": ("return Lazy()", Status.ERROR, "the device was lost"),
    "writes": ("x += 1; return y", Status.MISMATCH, "wrote into its operand input"),
    "off_by_one": (
        "y = y.copy(); y[0, 2, 0, 1] += 1; return y",
        Status.MISMATCH,
        "1 of 12 elements wrong; worst at [0, 2, 0, 1]",
    ),
    "unstable": (
        "self.n = getattr(self, 'n', 0) + 1\nreturn y + (self.n > 1)",
        Status.MISMATCH,
        "right at first, wrong when run again: 12 of 12",
    ),
    "prints": ("print('{\"status\": 1}'); os.write(1, b'noise'); return y", Status.PASSED, ""),
    "thread": ("threading.Thread(target=time.sleep, args=(3600,)).start(); return y", Status.PASSED, ""),
    "mute": ("os.dup2(os.open(os.devnull, os.O_RDONLY), 1); return y", Status.PASSED, ""),
}

IMPORTS = {
    "import_raises": ("raise RuntimeError('libfoo.so.3 is missing')", Status.ERROR, "libfoo.so.3 is missing"),
    "import_other": ("import there_is_no_such_module", Status.ERROR, "there_is_no_such_module"),
    "import_hangs": ("import time\nwhile True: time.sleep(1)", Status.TIMEOUT, "no answer after 9 s"),
    "import_dies": ("import os; os._exit(7)", Status.CRASH, "status 7"),
    "import_no_backend": ("class Planted: pass", Status.ERROR, "not a subclass"),
}

ABSENT = """
from convsuite import Backend

class Planted(Backend):
    requires = ("no_such_framework",)

    def __init__(self, device):
        import no_such_framework.sub
"""


# dies on the bad case, and cannot be imported ever after
ONCE = (
    "import pathlib\nif pathlib.Path(__file__ + '.died').exists():\n    raise RuntimeError('only once')\n"
    + MODULE.format(fault=" " * 12 + "open(__file__ + '.died', 'w').close(); os._exit(3)")
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """(backend, case's name) → outcome, of one run with all planted backends and an honest one."""
    folder = tmp_path_factory.mktemp("isolation")
    (folder / "iso.yaml").write_text(CASES)
    sources = {name: MODULE.format(fault=indent(fault, " " * 12)) for name, (fault, _, _) in FAULTS.items()}
    sources |= {name: source for name, (source, _, _) in IMPORTS.items()} | {"absent": ABSENT, "once": ONCE}
    with pytest.MonkeyPatch.context() as patch:
        plant(folder, sources, patch)
        settings = Settings(timeout_s=7, import_timeout_s=9, workdir=folder)
        lanes = [Lane(name, "cpu", settings) for name in (*sources, "numpy_im2col")]
        found: dict[tuple[str, str], Outcome] = {}
        try:
            ready, broken = run.start(lanes)
            for report in (*broken, *run.check(casefile.load([folder / "iso.yaml"]).cases, ready, KnownFailures())):
                for o in report.outcomes:
                    found[o.backend, o.case_id.rpartition("/")[2]] = o
        finally:
            for lane in lanes:
                lane.close()
    return found


def plant(folder: Path, sources: dict[str, str], patch: pytest.MonkeyPatch) -> None:
    """Register backends as an installed distribution would (the `planted` fixture lives for one test only)."""
    for name, source in sources.items():
        (folder / f"isolated_{name}.py").write_text(source, encoding="utf-8")
    info = folder / "isolated-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: isolated\nVersion: 0\n")
    points = "\n".join(f"{name} = isolated_{name}:Planted" for name in sources)
    (info / "entry_points.txt").write_text(f"[convsuite.backends]\n{points}\n")
    patch.syspath_prepend(str(folder))
    patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recorded_under_its_status(outcomes: dict[tuple[str, str], Outcome], name: str) -> None:
    _, status, words = FAULTS[name]
    bad = outcomes[name, "bad"]
    assert (bad.status, words in bad.message) == (status, True), bad


@pytest.mark.parametrize("name", [*FAULTS, "numpy_im2col"])
def test_neighbours_are_not_lost(outcomes: dict[tuple[str, str], Outcome], name: str) -> None:
    assert outcomes[name, "before"].status is Status.PASSED
    assert outcomes[name, "after"].status is Status.PASSED


@pytest.mark.parametrize("name", IMPORTS)
def test_a_broken_import_is_loud_and_stops_nobody_else(outcomes: dict[tuple[str, str], Outcome], name: str) -> None:
    _, status, words = IMPORTS[name]
    found = outcomes[name, run.IMPORT]
    assert (found.status, words in found.message) == (status, True), found
    assert (name, "before") not in outcomes


def test_an_absent_framework_is_no_failure(outcomes: dict[tuple[str, str], Outcome]) -> None:
    assert not [key for key in outcomes if key[0] == "absent"]


def test_a_backend_that_cannot_be_imported_again_ends_with_the_reason(outcomes: dict[tuple[str, str], Outcome]) -> None:
    assert outcomes["once", "before"].status is Status.PASSED
    assert outcomes["once", "bad"].status is Status.CRASH
    assert (outcomes["once", "after"].status, outcomes["once", "after"].message) == (
        Status.ERROR,
        "RuntimeError: only once",
    )


def test_answers_that_differ_between_two_runs_are_told(outcomes: dict[tuple[str, str], Outcome]) -> None:
    assert outcomes["numpy_im2col", "bad"].reproducible is True
    assert outcomes["unstable", "bad"].reproducible is False


def test_every_planted_backend_said_something(outcomes: dict[tuple[str, str], Outcome]) -> None:
    assert {backend for backend, _ in outcomes} == {*FAULTS, *IMPORTS, "once", "numpy_im2col"}


def test_a_process_that_dies_while_idle_costs_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iso.yaml").write_text(CASES)
    later = "threading.Timer(0.3, os.abort).start()"
    plant(tmp_path, {"later": MODULE.format(fault=indent(later, " " * 12))}, monkeypatch)
    before, bad, after = casefile.load([tmp_path / "iso.yaml"]).cases
    lane = Lane("later", "cpu", Settings(workdir=tmp_path))
    try:
        assert run.start([lane])[0] == [lane]
        one = run.OneByOne()
        for case in (before, bad):
            assert one.check(case, lane, KnownFailures()).outcomes[0].status is Status.PASSED
        time.sleep(2)  # long enough for the process to die and for the pool to see it
        assert one.check(after, lane, KnownFailures()).outcomes[0].status is Status.PASSED
    finally:
        lane.close()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_cancelled_job_end_with_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    (tmp_path / "iso.yaml").write_text(CASES)
    source = MODULE.format(fault=indent("while True: pass", " " * 12))
    plant(tmp_path, {"stuck": source}, monkeypatch)
    command = [sys.executable, "-m", "convsuite.cli", "check", "--cases", str(tmp_path / "iso.yaml")]
    command += ["--backend", "stuck", "--backend", "numpy_im2col", "--db", str(tmp_path / "r.db")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    wait_for_outcomes(tmp_path / "r.db", 1)
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)  # as a terminal does: to the whole group
    else:
        process.send_signal(signum)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert "interrupted" in output
    assert "passed" in output
    assert "interrupted after" in output
    assert "Traceback" not in output


def wait_for_outcomes(db: Path, count: int) -> None:
    """Wait until a run has recorded something."""
    import sqlite3

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if db.exists():
            try:
                with sqlite3.connect(db) as connection:
                    if connection.execute("SELECT count(*) FROM outcome").fetchone()[0] >= count:
                        return
            except sqlite3.Error:
                pass
        time.sleep(0.05)
    pytest.fail("the run recorded nothing")


def test_threads_are_fixed_before_a_parents_main_module_is_imported(tmp_path: Path) -> None:
    """A spawned process imports it first, and may be NumPy with it, which then makes its pool of threads."""
    script = tmp_path / "main.py"
    script.write_text(
        "import os, sys, tempfile\n"
        "from pathlib import Path\n"
        "from convsuite.lane import Lane, Settings\n"
        "SEEN = os.environ.get('OPENBLAS_NUM_THREADS', 'nothing')\n"
        "def look():\n"
        "    return sys.modules['__mp_main__'].SEEN\n"
        "if __name__ == '__main__':\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        lane = Lane('numpy_im2col', 'cpu', Settings(threads=3, workdir=Path(folder)))\n"
        "        print(SEEN, lane.call(look, []).result(), os.environ.get('OPENBLAS_NUM_THREADS', 'nothing'))\n"
        "        lane.close()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "nothing 3 nothing\n", done.stderr
