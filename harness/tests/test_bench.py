"""`convsuite bench` from end to end: what gets a time, what does not and why, and what two runs say of each other.

No test asks how long anything took: times come from planted backends only as far as their order is certain, or are
written into the database.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from convsuite import casefile, known, store
from convsuite.bench import engine, machine, rows
from convsuite.bench.compare import run_compare
from convsuite.bench.records import HOT, Cell, Timing
from convsuite.case import Pass
from convsuite.cli import main
from convsuite.environment import observe
from convsuite.errors import StoreError
from convsuite.store import open_store
from convsuite.timing import Method

Plant = Callable[[Mapping[str, str]], Path]  # the fixture `planted`

CASES = """
operation: conv
defaults: {input: [6, 5], kernel: [3, 2], channels: {in: 2, out: 3}, passes: [forward, grad_weight]}
cases:
  - {name: plain, repeats: 3}
  - {name: strided, stride: 2}
  - {name: refused, stride: 0, expect: {error: stride}, passes: [forward]}
"""

WRONG = """
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        return super().conv(case, x, weight, bias) + (case.stride == (2, 2))
"""

# its results are there 20 ms after its calls have returned
EARLY = """
import time
from concurrent.futures import ThreadPoolExecutor
from convsuite_backends.numpy_im2col import NumpyIm2col

POOL = ThreadPoolExecutor(1)

class Planted(NumpyIm2col):
    def forward(self, case, method=""):
        compute = super().forward(case, method)
        def slowly(operands):
            time.sleep(0.02)
            return compute(*operands)
        return lambda *operands: POOL.submit(slowly, operands)

    def to_numpy(self, result, role, case):
        return super().to_numpy(result.result(), role, case) if hasattr(result, "result") else result

    def dtype_name(self, result, case):
        return "float32"
"""

# dies at its tenth call: the first calls go well, the warming up does not
DYING = """
import os
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    calls = 0

    def conv(self, case, x, weight, bias=None):
        Planted.calls += 1
        if Planted.calls == 10 and case.stride == (1, 1):
            os._exit(9)
        return super().conv(case, x, weight, bias)
"""

# right in the first process that is opened, wrong in the next
FICKLE = """
from pathlib import Path
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def __init__(self, device):
        super().__init__(device)
        self.wrong = Path("opened").exists()
        Path("opened").touch()

    def conv(self, case, x, weight, bias=None):
        return super().conv(case, x, weight, bias) + self.wrong
"""

# imported once, and not again
BROKEN = """
from pathlib import Path
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def __init__(self, device):
        super().__init__(device)
        if Path("opened").exists():
            raise RuntimeError("no more of me")
        Path("opened").touch()
"""

SHY = """
from convsuite import Support
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def support(self, case):
        return Support.unsupported("no strides") if case.stride == (2, 2) else Support.native()
"""


# a device made of a thread: calls return at once, and waiting is waiting for all that was launched
GPU = """
import time
from concurrent.futures import ThreadPoolExecutor
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    devices = ("cpu", "cuda")

    def __init__(self, device):
        super().__init__(device)
        self.stream = ThreadPoolExecutor(1)

    def forward(self, case, method=""):
        compute = super().forward(case, method)
        def slowly(operands):
            time.sleep(0.001)
            return compute(*operands)
        return lambda *operands: self.stream.submit(slowly, operands)

    def synchronize(self, result):
        self.stream.submit(int).result()

    def to_numpy(self, result, role, case):
        return super().to_numpy(result.result() if hasattr(result, "result") else result, role, case)

    def dtype_name(self, result, case):
        return "float32"

    def cache_flush(self):
        return lambda: self.synchronize(None)

    def device_clock(self):
        def passed(launch, number):
            for _ in range(number):
                launch()
            begun = time.perf_counter()
            self.synchronize(None)
            return time.perf_counter() - begun
        return passed
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.yaml").write_text(CASES)
    return tmp_path / "mine"


def bench(suite: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["bench", "--cases", str(suite), "--quick", "--db", "r.db", *words])


def select(query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect("r.db")) as connection:
        return connection.execute(query).fetchall()


def test_every_cell_whose_answer_is_right_gets_a_time(suite: Path, planted: Plant) -> None:
    planted({"wrong": WRONG, "early": EARLY, "dying": DYING, "shy": SHY})
    names = ("numpy_im2col", "wrong", "early", "dying", "shy")
    result = bench(suite, *(word for name in names for word in ("-b", name)), "--pass", "forward")
    assert result.exit_code == 1, result.output

    assert select("SELECT case_id, backend FROM timing ORDER BY 1, 2") == [
        ("conv/a/plain", "numpy_im2col"),
        ("conv/a/plain", "shy"),
        ("conv/a/plain", "wrong"),
        ("conv/a/strided", "dying"),
        ("conv/a/strided", "numpy_im2col"),
    ]
    why = {(case, backend): reason for case, backend, reason in select("SELECT case_id, backend, reason FROM untimed")}
    assert why["conv/a/strided", "wrong"].startswith("mismatch: 12 of 12 elements wrong")  # type: ignore[attr-defined]
    assert "its time would be wrong" in why["conv/a/plain", "early"]  # type: ignore[operator]
    assert "status 9" in why["conv/a/plain", "dying"]  # type: ignore[operator]
    assert why["conv/a/strided", "shy"] == "unsupported: no strides"
    assert "look: convsuite check conv/a/strided --backend wrong" in result.output


def test_an_answer_that_turns_wrong_takes_back_the_times_of_other_rounds(suite: Path, planted: Plant) -> None:
    planted({"fickle": FICKLE})
    result = bench(suite, "conv/a/plain", "-b", "numpy_im2col", "-b", "fickle", "--processes", "2")
    assert result.exit_code == 1, result.output
    assert select("SELECT backend, process FROM timing") == [("numpy_im2col", 0), ("numpy_im2col", 1)]
    ((backend, reason),) = select("SELECT backend, reason FROM untimed")
    assert backend == "fickle"
    assert str(reason).startswith("mismatch: ")
    assert "2 times, 0" not in result.output  # one cell is left
    assert "1 finding" in result.output


def test_a_backend_that_breaks_is_said_in_whatever_round(suite: Path, planted: Plant) -> None:
    planted({"broken": BROKEN})
    words = ("conv/a/plain", "-b", "broken", "--processes", "2", "--cold")
    result = bench(suite, *words)
    assert result.exit_code == 1, result.output
    assert "broken: error: installed, but it cannot be imported: RuntimeError: no more of me" in result.output
    assert select("SELECT process, mode FROM timing") == [(0, "hot")]
    again = bench(suite, *words)
    assert again.exit_code == 1, again.output
    assert "RuntimeError: no more of me" in again.output
    assert "0 times" in again.output


def test_why_there_is_no_time_is_said_once_though_each_round_says_it(suite: Path) -> None:
    bench(suite, "conv/a/plain", "-b", "numpy_im2col", "--processes", "2", "--cold")
    assert select("SELECT count(*) FROM untimed") == [(1,)]


def test_a_run_is_recorded_with_its_problems_peaks_and_outcomes(suite: Path) -> None:
    result = bench(suite, "-b", "numpy_im2col", "--pass", "forward", "--pass", "grad_weight", "--processes", "2")
    assert result.exit_code == 0, result.output
    assert select("SELECT case_id, repeats, flops FROM problem ORDER BY 1") == [
        ("conv/a/plain", 3, 2 * 4 * 4 * 3 * 2 * 6),
        ("conv/a/strided", 1, 2 * 2 * 2 * 3 * 2 * 6),
    ]
    assert select("SELECT case_id, pass, process FROM timing ORDER BY 1, 2, 3") == [
        (f"conv/a/{case}", pass_, process)
        for case in ("plain", "strided")
        for pass_ in ("forward", "grad_weight")
        for process in (0, 1)
    ]
    assert select("SELECT DISTINCT status FROM outcome") == [("passed",)]
    assert len(select("SELECT * FROM outcome")) == 4
    assert {dtype for (dtype,) in select("SELECT dtype FROM peak")} == {"float32", "float64"}
    assert select("SELECT state FROM run") == [("finished",)]
    with closing(open_store(Path("r.db"))) as opened:
        times = list(rows.timings_of(opened.rows(rows.TIMINGS, (1,))))
    assert all(
        len(t.seconds) >= 2 and t.median == pytest.approx(sorted(t.seconds)[len(t.seconds) // 2], rel=0.5)
        for t in times
    )
    assert "Totals" in result.output


def test_an_interrupted_bench_keeps_what_was_finished(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = engine.bench

    def until_a_time(plan: engine.Plan, failures: known.KnownFailures, workdir: Path) -> Iterator[engine.Event]:
        for event in whole(plan, failures, workdir):
            yield event
            if isinstance(event, Timing):
                raise KeyboardInterrupt

    monkeypatch.setattr(engine, "bench", until_a_time)
    result = bench(suite, "-b", "numpy_im2col")
    assert result.exit_code == 130, result.output
    assert select("SELECT case_id FROM timing") == [("conv/a/plain",)]
    assert select("SELECT state FROM run") == [("interrupted",)]
    assert "interrupted: 1 time" in result.output


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="each thread takes a core of its own")
def test_cold_and_several_threads_are_cells_of_their_own(suite: Path) -> None:
    result = bench(suite, "conv/a/plain", "-b", "numpy_im2col", "--threads", "1", "--threads", "2", "--cold")
    assert result.exit_code == 0, result.output
    cells = select("SELECT threads, mode FROM timing ORDER BY 1, 2")
    assert cells == [(1, "hot"), (2, "hot")]
    reasons = {reason for (reason,) in select("SELECT reason FROM untimed WHERE mode = 'cold'")}
    assert len(reasons) == 1
    assert "copies would be needed" in str(reasons)
    assert "numpy_im2col, 2 threads" in result.output


def test_json_is_one_object_a_time(suite: Path, planted: Plant) -> None:
    planted({"shy": SHY})
    result = bench(suite, "-b", "numpy_im2col", "--vs", "shy", "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]
    assert {(line["case"], line["backend"]) for line in lines} == {
        ("conv/a/plain", "numpy_im2col"), ("conv/a/plain", "shy"), ("conv/a/strided", "numpy_im2col"),
    }  # fmt: skip
    assert all(line["median_s"] > 0 and line["verdict"] in (None, "one process", "noisy") for line in lines)
    told = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    assert [key for line in lines for key in line if f"`{key}`" not in told] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("conv/a/refused",), "nothing to time"),
        (("--pass", "grad_bias"), "no case of the selection has the pass grad_bias"),
        (("no_such_suite",), "matches none"),
        (("-b", "numpy_im2col", "--vs", "no_such"), "no backend 'no_such'"),
        (("--threads", "0"), "0 is not in the range"),
        (("--threads", "9999"), "--threads 9999: a thread has a core of its own, and there are"),
        (("--timeout", "nan"), "--timeout nan: give a number of seconds above 0"),
    ],
)
def test_bad_input_is_one_clear_error(suite: Path, words: tuple[str, ...], said: str) -> None:
    result = bench(suite, *words)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not Path("r.db").exists()


def test_a_pass_that_some_problems_lack_is_told(suite: Path) -> None:
    (suite / "b.yaml").write_text("operation: conv\ncases:\n  - {name: x, input: [8], kernel: [3]}\n")
    result = bench(suite, "-b", "numpy_im2col", "--pass", "forward", "--pass", "grad_weight")
    assert "grad_weight: 2 of them have it" in result.output


def test_a_run_without_a_time_offers_no_comparison(suite: Path, planted: Plant) -> None:
    planted({"early": EARLY})
    result = bench(suite, "conv/a/plain", "-b", "early")
    assert "0 times" in result.output
    assert "compare with another run" not in result.output


def test_a_suite_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["bench", "resnet50_v1_5"])
    assert result.exit_code == 2
    assert "no suite 'resnet50_v1_5': did you mean resnet_50_v1_5" in result.output


def test_a_gpu_that_is_not_there_is_said(suite: Path) -> None:
    result = bench(suite, "-b", "numpy_im2col", "--device", "cuda")
    assert result.exit_code == 2
    assert "numpy_im2col: computes on cpu, not on cuda" in result.output


def test_a_device_is_timed_by_latency_throughput_its_own_clock_and_cold(suite: Path, planted: Plant) -> None:
    planted({"gpu": GPU})
    result = bench(suite, "conv/a/plain", "-b", "gpu", "--device", "cuda", "--cold")
    assert result.exit_code == 0, result.output
    found = {mode: (number, least) for mode, number, least in select("SELECT mode, number, minimum_s FROM timing")}
    assert set(found) == {"hot", "cold", "throughput", "device"}
    assert all(least >= 0.001 for mode, (_, least) in found.items() if mode != "device")  # type: ignore[operator]
    assert found["throughput"][0] >= 50  # type: ignore[operator]
    assert found["device"][0] >= 50  # type: ignore[operator]
    assert select("SELECT count(*) FROM peak") == [(0,)]


def test_rounds_are_outermost_and_backends_take_turns(suite: Path, tmp_path: Path) -> None:
    cases = tuple(case for case in casefile.load([suite]).cases if case.expect.error is None)
    method = Method(warmup_calls=1, warmup_s=0, samples=2, sampling_s=0, most_s=0.01)
    plan = engine.Plan(
        cases=cases, passes=(Pass.FORWARD,), backends=("naive", "numpy_im2col"), processes=3, method=method
    )
    events = list(engine.bench(plan, known.load([], frozenset()), tmp_path))
    times = [event for event in events if isinstance(event, Timing)]
    assert [t.process for t in times] == [0] * 4 + [1] * 4 + [2] * 4
    for at in range(0, len(times), 2):
        assert times[at].cell.case_id == times[at + 1].cell.case_id
        assert {times[at].cell.backend, times[at + 1].cell.backend} == {"naive", "numpy_im2col"}
    assert (
        len({tuple(t.cell.backend for t in times[at : at + 2]) for at in range(0, len(times), 2)}) == 2
    )  # both orders
    assert sum(isinstance(event, engine.Turn) for event in events) == plan.total
    assert sum(isinstance(event, engine.Complete) for event in events) == 2
    assert sum(isinstance(event, engine.Judged) for event in events) == 4  # the same bits are judged once


def _spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_noisy_neighbour_is_seen() -> None:
    """As many busy processes as there are cores, and one more: whatever else runs, they get half a core or more."""
    if not Path("/proc/stat").is_file():
        pytest.skip("the platform does not tell who is busy")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) + 1)]
    try:
        time.sleep(1.0)
        watch = machine.Watch("cpu")
        _spin(1.0)
        seen = watch.seen().others
    finally:
        for one in others:
            one.kill()
            one.wait()
    assert seen is not None
    assert seen > 0.3


def test_cores_are_pinned_one_for_each_thread() -> None:
    free = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    for threads in (1, 2, 1000):
        cores = machine.pinned_to(threads)
        assert len(cores) == min(threads, len(free))
        assert set(cores) <= set(free)


CELL = Cell(case_id="conv/a/plain", pass_=Pass.FORWARD, backend="torch", device="cpu", threads=1, mode=HOT)


def recorded(path: Path, medians: Sequence[float], spread: float = 0.01, cell: Cell = CELL) -> int:
    """Write a run with one cell's times into a database, and return its number."""
    with closing(open_store(path)) as opened:
        run = opened.begin(observe(1, None), "convsuite bench")
        samples = [[m * (1 + spread * (at - 2)) for at in range(5)] for m in medians]
        times = [
            Timing(cell=cell, process=p, first_s=1.0, second_s=0.1, seconds=tuple(s), number=1, warmups=9, settled=True)
            for p, s in enumerate(samples)
        ]
        opened.add_rows(rows.ADD_TIMING, [rows.timing_row(run, t) for t in times])
        opened.finish(run, "finished")
    return run


def recorded_problem(path: Path, run: int, case_id: str, flops: int) -> None:
    problem = rows.Problem(case_id=case_id, operation="conv", dtype="float32", flops=flops, bytes=4000, repeats=1)
    with closing(open_store(path)) as opened:
        opened.add_rows(rows.ADD_PROBLEM, [rows.problem_row(run, problem)])


STEADY = [1e-3, 1.01e-3, 0.99e-3, 1.0e-3, 1.005e-3]


@pytest.mark.parametrize(
    ("after", "spread", "code", "said"),
    [
        ([1.2 * m for m in STEADY], 0.01, 3, "slower"),
        ([0.8 * m for m in STEADY], 0.01, 0, "faster"),
        (STEADY, 0.01, 0, "same"),
        ([1.2 * m for m in STEADY], 0.2, 4, "too noisy to say of 1"),
        (STEADY[:1], 0.01, 4, "one process"),
        ([0.97 * m for m in STEADY], 0.01, 0, "torch"),
    ],
)
def test_two_runs_are_compared_with_a_direction(
    tmp_path: Path, after: list[float], spread: float, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path / "r.db", STEADY)
    recorded(tmp_path / "r.db", after, spread)
    assert run_compare("1", "last", tmp_path / "r.db") == code
    assert said in capsys.readouterr().out


def test_other_kernels_are_told_before_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    recorded(tmp_path / "r.db", STEADY)
    monkeypatch.delenv("OPENBLAS_CORETYPE")
    recorded(tmp_path / "r.db", STEADY)
    run_compare("1", "2", tmp_path / "r.db")
    assert "OPENBLAS_CORETYPE differs: Haswell → (none)" in capsys.readouterr().out


def test_a_case_that_changed_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flops, after in ((590_000, STEADY), (1_330_000, [2 * m for m in STEADY])):
        run = recorded(tmp_path / "r.db", after)
        recorded_problem(tmp_path / "r.db", run, CELL.case_id, flops)
    with pytest.raises(StoreError, match="no time in common"):
        run_compare("1", "2", tmp_path / "r.db")
    said = "not compared: conv/a/plain is another problem in each: conv in float32, 590 kFLOP, 4.00 kB, then"
    assert said in capsys.readouterr().out


def test_a_database_alone_is_no_run(tmp_path: Path) -> None:
    recorded(tmp_path / "r.db", STEADY)
    with pytest.raises(StoreError, match=r"of another database: .*r\.db:NUMBER"):
        run_compare(str(tmp_path / "r.db"), "1", tmp_path / "r.db")


def test_a_run_of_another_database_is_named_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(tmp_path / "old.db", STEADY)
    recorded(tmp_path / "new.db", STEADY)
    assert run_compare(f"{tmp_path / 'old.db'}:1", "1", tmp_path / "new.db") == 0
    assert "old.db:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "said"),
    [("7", "no bench is run '7'; it has times of run 1, 2"), ("no.db:1", "there is no such database")],
)
def test_a_run_that_is_not_there_is_said(tmp_path: Path, before: str, said: str) -> None:
    recorded(tmp_path / "r.db", STEADY)
    recorded(tmp_path / "r.db", STEADY)
    with pytest.raises(StoreError, match=said):
        run_compare(before, "1", tmp_path / "r.db")


def test_runs_without_a_cell_in_common_are_not_compared(tmp_path: Path) -> None:
    recorded(tmp_path / "r.db", STEADY)
    other = Cell(case_id="conv/a/b", pass_=Pass.FORWARD, backend="torch", device="cpu", threads=1, mode=HOT)
    recorded(tmp_path / "r.db", STEADY, cell=other)
    with pytest.raises(StoreError, match="no time in common"):
        run_compare("1", "2", tmp_path / "r.db")


def test_a_database_of_the_version_before_gets_the_new_tables_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(store._SCHEMA)
        old.execute("INSERT INTO run (started, state, command) VALUES ('then', 'finished', 'convsuite check')")
        old.execute(f"PRAGMA application_id = {store._APPLICATION}")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    assert recorded(path, STEADY) == 2
    with closing(open_store(path)) as opened:
        assert [row["command"] for row in opened.rows("SELECT command FROM run ORDER BY id")] == [
            "convsuite check",
            "convsuite bench",
        ]
