"""The results database: it keeps what it was given, and refuses what it must not touch."""

from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convsuite import store as store_room
from convsuite.case import Agreement, Level, Numerics, Outcome, Pass, Status, Support, Verdict
from convsuite.environment import Environment
from convsuite.errors import StoreError
from convsuite.lane import Lane
from convsuite.run import Report
from convsuite.store import SCHEMA_VERSION, Store, open_store, read_store
from convsuite.worker import Info

HERE = Environment(
    platform="Linux-6", python="3.12.1", numpy="2.4.0", convsuite="0.1", cpu="A CPU", isa=("avx2", "fma"), cores=2,
    threads=1, variables=(("TF_X", '"1"'),), cases_revision="0123456789ab+dirty",
)  # fmt: skip

VERDICT = Verdict(
    gate="guaranteed", right=False, message="1 of 12 wrong", compared=12, wrong=1, unchecked=3,
    worst_index=(0, 2, 1), got=1.5, expected=-2.5, error_units=7.25, guaranteed_share=1.5, expected_share=9.5,
    suspect=True,
)  # fmt: skip

NUMERICS = Numerics(
    accumulator="float32", intermediate="float16", intermediate_roundings=4, tf32=True, note="why, and where"
)

OUTCOME = Outcome(
    case_id="conv/größe/k=3", operation="conv", dtype="float16", pass_=Pass.GRAD_WEIGHT, backend="torch:compile",
    device="cuda", status=Status.MISMATCH, support=Support(Level.COMPOSED, "pad, then convolve"),
    message="1 of 12\nwrong \x00 大", verdict=VERDICT, numerics=NUMERICS, reproducible=False, digest="00ff",
    known="link", seconds=0.25,
)  # fmt: skip

AGREEMENT = Agreement(
    case_id="conv/a", operation="conv", pass_=Pass.FORWARD, left="jax", right="torch", identical=True, units=0.0
)


def report(*outcomes: Outcome, agreements: tuple[Agreement, ...] = ()) -> Report:
    return Report(case=None, outcomes=outcomes, agreements=agreements)


def outcomes(count: int) -> list[Report]:
    return [report(replace(OUTCOME, case_id=f"conv/many/{i}", message="x" * 500)) for i in range(count)]


def filled(path: Path, count: int = 200) -> bytes:
    """Make a database with some outcomes, and return its bytes."""
    store = open_store(path)
    run = store.begin(HERE, "convsuite check")
    for one in outcomes(count):
        store.add(run, one)
    store.close()
    return path.read_bytes()


def one_row(store: Store, query: str) -> dict[str, Any]:
    (row,) = store.rows(query)
    return dict(row)


class TestRoundTrip:
    def test_every_field_of_an_outcome(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        run = store.begin(HERE, "x")
        store.add(run, report(OUTCOME))
        v = VERDICT
        assert one_row(store, "SELECT * FROM outcome") == {
            "run": run, "case_id": OUTCOME.case_id, "operation": "conv", "dtype": "float16", "pass": "grad_weight",
            "backend": "torch:compile", "device": "cuda", "status": "mismatch", "support": "composed",
            "reason": "pad, then convolve", "message": OUTCOME.message, "gate": v.gate, "compared": 12, "wrong": 1,
            "unchecked": 3, "worst_index": "0,2,1", "got": 1.5, "expected": -2.5, "error_units": 7.25,
            "guaranteed_share": 1.5, "expected_share": 9.5, "suspect": 1, "reproducible": 0, "accumulator": "float32",
            "intermediate": "float16", "intermediate_roundings": 4, "tf32": 1, "numerics_note": "why, and where",
            "digest": "00ff", "known": "link", "seconds": 0.25,
        }  # fmt: skip

    def test_an_outcome_without_a_verdict(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        store.add(store.begin(HERE, "x"), report(replace(OUTCOME, verdict=None, numerics=None, reproducible=None)))
        row = one_row(store, "SELECT * FROM outcome")
        assert (row["gate"], row["worst_index"], row["reproducible"], row["suspect"]) == (None, None, None, 0)
        assert (row["accumulator"], row["tf32"], row["numerics_note"]) == (None, None, None)

    @pytest.mark.parametrize(("value", "kept"), [(math.nan, None), (math.inf, math.inf), (-math.inf, -math.inf)])
    def test_values_that_are_not_finite(self, tmp_path: Path, value: float, kept: float | None) -> None:
        """SQLite has no NaN: it becomes NULL, and no column may forbid that."""
        store = open_store(tmp_path / "r.db")
        odd = replace(
            VERDICT, got=value, expected=value, error_units=value, guaranteed_share=value, expected_share=value
        )
        store.add(store.begin(HERE, "x"), report(replace(OUTCOME, verdict=odd)))
        row = one_row(store, "SELECT got, expected, error_units, guaranteed_share, expected_share FROM outcome")
        assert list(row.values()) == [kept] * 5

    def test_a_run_and_its_environment(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        store.finish(store.begin(HERE, "convsuite check 'a b'"), "finished")
        row = one_row(store, "SELECT * FROM run")
        assert row.pop("started") <= row.pop("finished")
        assert row == {
            "id": 1, "state": "finished", "command": "convsuite check 'a b'", "platform": "Linux-6",
            "python": "3.12.1", "numpy": "2.4.0", "convsuite": "0.1", "cpu": "A CPU", "isa": "avx2 fma", "cores": 2,
            "threads": 1, "variables": '{"TF_X":"\\"1\\""}', "cases_revision": "0123456789ab+dirty",
        }  # fmt: skip

    def test_who_took_part(self, tmp_path: Path) -> None:
        class Told(Lane):
            def __init__(self, name: str, info: Info | None) -> None:
                self.name, self.device, self.info = name, "cpu", info

        store = open_store(tmp_path / "r.db")
        info = Info(versions=(("torch", "2.13.0+cpu"),), environment=(("A", "1"),), import_s=0.5)
        store.add_lanes(store.begin(HERE, "x"), [Told("torch", info), Told("broken", None)])
        rows = [tuple(row) for row in store.rows("SELECT name, state, versions, environment, import_s FROM backend")]
        assert rows == [
            ("broken", "unavailable", "{}", "{}", None),
            ("torch", "ready", '{"torch":"2.13.0+cpu"}', '{"A":"1"}', 0.5),
        ]

    def test_agreement_is_summed_up_with_its_worst_case(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        run = store.begin(HERE, "x")
        apart = [("conv/b", 2.0), ("conv/c", 5.0), ("conv/d", 3.0)]
        store.add(run, report(agreements=(AGREEMENT,)))
        for case_id, units in apart:
            store.add(run, report(agreements=(replace(AGREEMENT, case_id=case_id, identical=False, units=units),)))
        row = one_row(store, "SELECT compared, identical, max_units, worst_case FROM agreement")
        assert list(row.values()) == [4, 1, 5.0, "conv/c"]

    @pytest.mark.parametrize("units", [math.inf, math.nan])
    def test_agreement_without_a_finite_distance(self, tmp_path: Path, units: float) -> None:
        store = open_store(tmp_path / "r.db")
        run = store.begin(HERE, "x")
        store.add(run, report(agreements=(AGREEMENT,)))
        store.add(run, report(agreements=(replace(AGREEMENT, case_id="conv/odd", units=units),)))
        row = one_row(store, "SELECT max_units, worst_case FROM agreement")
        assert list(row.values()) == [math.inf, "conv/odd"]

    def test_runs_are_added_never_overwritten(self, tmp_path: Path) -> None:
        filled(tmp_path / "r.db", 3)
        filled(tmp_path / "r.db", 4)
        counted = open_store(tmp_path / "r.db").rows("SELECT run, count(*) FROM outcome GROUP BY run")
        assert [tuple(row) for row in counted] == [(1, 3), (2, 4)]

    def test_a_second_outcome_of_the_same_is_loud_and_the_first_is_kept(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        run = store.begin(HERE, "x")
        store.add(run, report(OUTCOME))
        with pytest.raises(StoreError, match=r"r.db: refuses a second outcome of one pass, case and backend"):
            store.add(run, report(replace(OUTCOME, case_id="conv/b"), replace(OUTCOME, message="another")))
        assert one_row(store, "SELECT case_id, message FROM outcome") == {
            "case_id": OUTCOME.case_id, "message": OUTCOME.message,
        }  # fmt: skip
        store.add(store.begin(HERE, "x"), report(OUTCOME))

    def test_an_empty_file_becomes_ours(self, tmp_path: Path) -> None:
        (tmp_path / "r.db").touch()
        filled(tmp_path / "r.db", 1)
        assert one_row(open_store(tmp_path / "r.db"), "SELECT count(*) AS n FROM outcome") == {"n": 1}


def random_bytes(good: bytes) -> bytes:
    return random.Random(1).randbytes(len(good))


def truncated(good: bytes) -> bytes:
    return good[: len(good) // 2]


def overwritten_first_page(good: bytes) -> bytes:
    return good[:100] + random.Random(2).randbytes(3996) + good[4096:]


def overwritten_later_pages(good: bytes) -> bytes:
    middle = len(good) // 4096 // 2 * 4096
    return good[:middle] + random.Random(3).randbytes(3 * 4096) + good[middle + 3 * 4096 :]


DAMAGE: Mapping[Callable[[bytes], bytes], str] = {
    random_bytes: "is not a database, and left as it is",
    truncated: "is damaged, and left as it is",
    overwritten_first_page: "is damaged, and left as it is",
    overwritten_later_pages: "is damaged, and left as it is",
}


class TestRefusals:
    @pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
    def test_a_damaged_file(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        bad = damage(filled(tmp_path / "r.db"))
        (tmp_path / "r.db").write_bytes(bad)
        with pytest.raises(StoreError, match=f"r.db: {DAMAGE[damage]}.*--db"):
            open_store(tmp_path / "r.db")
        assert (tmp_path / "r.db").read_bytes() == bad

    def test_another_programs_database(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "r.db") as other:
            other.execute("CREATE TABLE run (id INTEGER PRIMARY KEY)")
        other.close()
        self.refused_untouched(tmp_path / "r.db", "is a database of another program")

    def test_a_newer_schema(self, tmp_path: Path) -> None:
        filled(tmp_path / "r.db", 1)
        with sqlite3.connect(tmp_path / "r.db") as newer:
            newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        newer.close()
        said = f"has schema version {SCHEMA_VERSION + 1}, this convsuite knows up to {SCHEMA_VERSION}; update"
        self.refused_untouched(tmp_path / "r.db", said)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="is a directory; name a file"):
            open_store(tmp_path)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"there is no folder .*nowhere"):
            open_store(tmp_path / "nowhere" / "r.db")
        assert not (tmp_path / "nowhere").exists()

    def test_a_name_that_the_system_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"cannot be opened: File name too long|cannot be opened for writing"):
            open_store(tmp_path / ("x" * 300))

    def test_a_folder_that_takes_no_new_files(self, tmp_path: Path) -> None:
        """Permissions do not bind the superuser; a folder where the write-ahead log is due binds everyone."""
        before = filled(tmp_path / "r.db", 1)
        (tmp_path / "r.db-wal").mkdir()
        with pytest.raises(StoreError, match="cannot be opened for writing; check the folder's permissions"):
            open_store(tmp_path / "r.db")
        assert (tmp_path / "r.db").read_bytes() == before

    def test_a_read_only_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Opened as SQLite opens a file that it may only read."""
        filled(tmp_path / "r.db", 1)
        connect = sqlite3.connect
        monkeypatch.setattr(
            store_room.sqlite3, "connect", lambda path, **rest: connect(f"file:{path}?mode=ro", uri=True, **rest)
        )
        self.refused_untouched(tmp_path / "r.db", r"cannot be written \(read-only\); change its permissions")

    def test_a_file_that_another_process_has_locked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_room, "_WAIT_S", 0.1)
        filled(tmp_path / "r.db", 1)
        code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(1); input()"
        command = [sys.executable, "-uc", code, str(tmp_path / "r.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            self.refused_untouched(tmp_path / "r.db", "another process has it locked, for 0.1 s now; end it")
            other.communicate(b"\n")
        open_store(tmp_path / "r.db").close()

    def test_a_new_file_that_another_process_has_locked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before the write-ahead log, SQLite does not wait by itself; we do, and not for ever."""
        monkeypatch.setattr(store_room, "_WAIT_S", 0.1)
        other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another process has it locked"):
            open_store(tmp_path / "r.db")
        other.close()

    def test_the_switch_to_a_log_waits_for_a_reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_room, "_WAIT_S", 0.1)
        other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM sqlite_master").fetchone()
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            other.close()

        monkeypatch.setattr(store_room.time, "sleep", sleep)
        monkeypatch.setattr(store_room.time, "monotonic", lambda: 0.0)
        open_store(tmp_path / "r.db").close()
        assert len(slept) == 1

    def refused_untouched(self, path: Path, said: str) -> None:
        before = path.read_bytes()
        with pytest.raises(StoreError, match=f"r.db: {said}"):
            open_store(path)
        assert path.read_bytes() == before


class TestFullDisk:
    def test_what_was_recorded_is_kept(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "r.db")
        run = store.begin(HERE, "x")
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages + 8}")  # as a disk with 8 pages left
        added = 0

        def fill_it() -> None:
            nonlocal added
            for added, one in enumerate(outcomes(1000)):  # noqa: B007
                store.add(run, one)

        with pytest.raises(StoreError, match="cannot grow: the disk is full; what was recorded before is kept"):
            fill_it()
        store.close()
        assert 10 < added < 1000
        kept = open_store(tmp_path / "r.db")
        assert one_row(kept, "SELECT count(*) AS n FROM outcome") == {"n": added}
        assert one_row(kept, "SELECT state, finished FROM run") == {"state": "running", "finished": None}

    def test_no_room_for_the_tables(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        connect = sqlite3.connect

        def small(path: Path, **rest: Any) -> sqlite3.Connection:
            connection = connect(path, **rest)
            connection.execute("PRAGMA max_page_count = 2")
            return connection

        monkeypatch.setattr(store_room.sqlite3, "connect", small)
        with pytest.raises(StoreError, match="the disk is full"):
            open_store(tmp_path / "r.db")
        monkeypatch.undo()
        open_store(tmp_path / "r.db").close()  # no half-made tables are left in the way

    def test_the_command_says_so_with_the_summary_so_far(self, tmp_path: Path) -> None:
        """The limit is put into the process as it starts; the run is a real one."""
        names = "".join(f"  - {{name: c{i}, seed: {i}}}\n" for i in range(60))
        (tmp_path / "some.yaml").write_text(f"operation: conv\ndefaults: {{input: 5, kernel: 2}}\ncases:\n{names}")
        (tmp_path / "full.py").write_text(FULL)
        command = [sys.executable, str(tmp_path / "full.py"), "check", "--cases", str(tmp_path / "some.yaml")]
        command += ["-b", "numpy_im2col", "--db", str(tmp_path / "r.db"), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
        assert done.stderr.rstrip().endswith("the disk is full; what was recorded before is kept")
        assert "nothing found" in done.stderr
        kept = one_row(open_store(tmp_path / "r.db"), "SELECT count(*) AS n FROM outcome")["n"]
        assert 0 < kept < 60
        lines = done.stdout.splitlines()
        assert len(lines) == kept + 1
        assert '"state":"stopped"' in lines[-1]


FULL = """
import sqlite3
from convsuite import cli, store

def begin(self, environment, command, begin=store.Store.begin):
    run = begin(self, environment, command)
    pages = self.connection.execute("PRAGMA page_count").fetchone()[0]
    self.connection.execute(f"PRAGMA max_page_count = {pages}")
    return run

if __name__ == "__main__":
    store.Store.begin = begin
    cli.main()
"""


WRITER = """
import sys
from pathlib import Path
from convsuite.case import Outcome, Pass, Status, Support
from convsuite.environment import observe
from convsuite.run import Report
from convsuite.store import open_store

print("ready", flush=True)
sys.stdin.read(1)
store = open_store(Path(sys.argv[1]))
run = store.begin(observe(1, None), "x")
for i in range(20):
    outcome = Outcome(
        case_id=str(i), operation="conv", dtype="float32", pass_=Pass.FORWARD, backend="b", device="cpu",
        status=Status.PASSED, support=Support.native(),
    )
    store.add(run, Report(case=None, outcomes=(outcome,)))
store.close()
"""


def test_runs_at_once_all_land(tmp_path: Path) -> None:
    """Four processes make the file, begin a run and write, all at the same moment."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "r.db")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    rows = open_store(tmp_path / "r.db").rows("SELECT run, count(*) FROM outcome GROUP BY run")
    assert [tuple(row) for row in rows] == [(run, 20) for run in range(1, 5)]


SLOW = """
import os, time
from pathlib import Path
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        Path(__file__).with_suffix(".pid").write_text(str(os.getpid()))
        if case.stride[0] == 2:
            time.sleep(3600)
        return super().conv(case, x, weight, bias)
"""


def test_a_killed_run_keeps_what_it_had_finished(tmp_path: Path, planted: Callable[..., Path]) -> None:
    folder = planted({"slow": SLOW})
    (tmp_path / "some.yaml").write_text(
        "operation: conv\ndefaults: {input: 5, kernel: 2}\n"
        "cases: [{name: a}, {name: b, padding: 1}, {name: c, stride: 2}, {name: d}]\n"
    )
    command = [sys.executable, "-m", "convsuite.cli", "check", "--cases", str(tmp_path / "some.yaml")]
    command += ["-b", "slow", "-b", "numpy_im2col", "--db", str(tmp_path / "r.db")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: recorded(tmp_path / "r.db") == 4)  # a and b, each on both
    process.send_signal(signal.SIGKILL)
    process.wait()

    store = open_store(tmp_path / "r.db")
    assert [tuple(row) for row in store.rows("SELECT case_id, backend, status FROM outcome ORDER BY 1, 2")] == [
        (f"conv/some/{case}", backend, "passed") for case in "ab" for backend in ("numpy_im2col", "slow")
    ]
    assert one_row(store, "SELECT state, finished FROM run") == {"state": "running", "finished": None}
    (worker,) = (int(file.read_text()) for file in folder.glob("*.pid"))
    until(lambda: not alive(worker))


def recorded(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM outcome").fetchone()[0])
    except sqlite3.Error:
        return 0


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc here: it answers to signals
        return True


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


class TestReadOnly:
    """What is only looked at is not written to."""

    def test_it_reads_and_cannot_write(self, tmp_path: Path) -> None:
        before = filled(tmp_path / "r.db", 3)
        with closing(read_store(tmp_path / "r.db")) as store:
            assert one_row(store, "SELECT count(*) AS n FROM outcome") == {"n": 3}
            with pytest.raises(StoreError, match="read-only"):
                store.finish(1, "finished")
        assert (tmp_path / "r.db").read_bytes() == before

    def test_where_the_folder_cannot_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        filled(tmp_path / "r.db", 3)
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who can always write
        with closing(read_store(tmp_path / "r.db")) as store:
            assert one_row(store, "SELECT count(*) AS n FROM outcome") == {"n": 3}
        assert [path.name for path in tmp_path.iterdir()] == ["r.db"]

    def test_where_a_run_was_cut_off_and_nobody_can_write(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its last outcomes are in the log beside the file, which SQLite would leave out without a word."""
        store = open_store(tmp_path / "r.db")
        store.begin(HERE, "x")
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(StoreError, match=r"was not closed.*r\.db-wal"):
            read_store(tmp_path / "r.db")
        store.close()

    def test_tables_of_newer_versions_are_empty_and_the_file_stays_as_it_is(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "r.db")) as old:
            old.executescript(store_room._SCHEMA)
            old.execute(f"PRAGMA application_id = {store_room._APPLICATION}")
            old.execute("PRAGMA user_version = 1")
        before = (tmp_path / "r.db").read_bytes()
        with closing(read_store(tmp_path / "r.db")) as store:
            assert one_row(store, "SELECT count(*) AS n FROM timing") == {"n": 0}
        assert (tmp_path / "r.db").read_bytes() == before

    def test_a_column_of_a_newer_version_is_null(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "r.db")) as old:
            old.executescript("".join(f"{schema};" for schema in store_room._VERSIONS[:2]))
            old.execute("INSERT INTO run (started, state, command) VALUES ('then', 'finished', 'x')")
            blob = array("d", [1.0]).tobytes()
            old.execute(
                "INSERT INTO timing VALUES (1,'c','forward','b','cpu',1,'hot',0,1,1,1,1,1,1,1,1,0,1,1,?)", (blob,)
            )
            old.execute(f"PRAGMA application_id = {store_room._APPLICATION}")
            old.execute("PRAGMA user_version = 2")
            old.commit()
        before = (tmp_path / "r.db").read_bytes()
        with closing(read_store(tmp_path / "r.db")) as store:
            assert one_row(store, "SELECT number, workspace_bytes AS w FROM timing") == {"number": 1, "w": None}
        assert (tmp_path / "r.db").read_bytes() == before
        with closing(open_store(tmp_path / "r.db")) as store:
            assert one_row(store, "SELECT number, workspace_bytes AS w FROM timing") == {"number": 1, "w": None}

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is no such database"):
            read_store(tmp_path / "r.db")
        assert not list(tmp_path.iterdir())

    def test_another_programs_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "r.db").write_text("this is a letter, not a database; " * 20)
        with pytest.raises(StoreError, match=r"r\.db"):
            read_store(tmp_path / "r.db")
