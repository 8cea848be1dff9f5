"""Results as DataFrames: every column of the tables, with a kind that keeps what is missing apart."""

from __future__ import annotations

import math
import sqlite3
import sys
from contextlib import closing

import pytest

from convsuite.bench import rows
from convsuite.bench.machine import Peaks
from convsuite.case import Agreement, Pass, Status
from convsuite.errors import ConvsuiteError, StoreError
from convsuite.store import open_store, read_store
from convsuite_reports import agreement, frames, outcomes, timings

CASE = "conv/basic/cross_correlation"


def columns_of(make, table: str) -> set[str]:
    with closing(sqlite3.connect(make.path)) as connection:
        return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def test_outcomes_have_every_column_of_the_table_and_k(make, shipped):
    case = shipped(CASE)
    make.check(make.wrong(case, "jax", (0, 0, 0, 0)), make.outcome("conv/none/x", "torch", Status.UNSUPPORTED))
    found = outcomes(make.path)
    assert set(found.columns) == columns_of(make, "outcome") | {"terms"}
    terms = found.set_index("case_id").terms
    assert terms[CASE] == 4
    assert terms.isna()["conv/none/x"]
    assert found.suspect.dtype == "boolean"
    assert found.backend.dtype == "category"
    assert found.status.tolist() == ["mismatch", "unsupported"]


def test_one_run_or_all(make):
    for _ in range(2):
        make.check(make.outcome(CASE, "torch"))
    assert outcomes(make.path).run.tolist() == [1, 2]
    assert outcomes(str(make.path), run=2).run.tolist() == outcomes(make.path, run="last").run.tolist() == [2]
    for frame in (outcomes, agreement):
        with pytest.raises(StoreError, match="no check is run '3'; it has outcomes of run 1, 2"):
            frame(make.path, run=3)
    with pytest.raises(StoreError, match="no bench is run '1'; no run in it has times"):
        timings(make.path, run=1)


def test_the_last_run_is_the_newest_check_and_no_bench(make, shipped):
    make.check(make.outcome(CASE, "torch"))
    make.bench({"torch": [2e-3]}, shipped("conv/bench_smoke/resnet_3x3"))
    assert outcomes(make.path, run="last").run.tolist() == [1]
    assert timings(make.path, run="last").run.tolist() == [2]


def test_agreement_has_the_share(make):
    pair = {"operation": "conv", "pass_": Pass.FORWARD, "left": "jax", "right": "torch"}
    pairs = [Agreement(case_id=f"conv/a/{u}", identical=u == 0, units=u, **pair) for u in (0.0, 2.0, math.inf, 0.0)]
    make.check(make.outcome(CASE, "torch"), agreements=pairs)
    (row,) = agreement(make.path).to_dict("records")
    assert (row["compared"], row["identical"], row["identical_share"]) == (4, 2, 0.5)
    assert row["max_units"] == math.inf
    assert set(row) == columns_of(make, "agreement") | {"identical_share"}


def test_timings_are_estimates_with_rates_and_shares(make, shipped):
    case = shipped("conv/bench_smoke/resnet_3x3")
    make.bench({"torch": [2e-3, 2.02e-3, 1.98e-3], "jax": [4e-3]}, case)
    found = timings(make.path).set_index("backend")
    torch, jax = found.loc["torch"], found.loc["jax"]
    assert torch.median_s == 2e-3
    assert torch.low_s <= 2e-3 <= torch.high_s
    assert math.isnan(jax.low_s)  # one process has no interval
    assert torch.flops_per_s == pytest.approx(torch.flops / 2e-3)
    assert torch.peak_share == pytest.approx(torch.flops_per_s / 1e11)
    assert (torch.suite, torch.processes, torch.samples, torch.unstable) == ("bench_smoke", 3, 90, "")


def test_what_a_machine_can_do_is_the_best_of_its_rounds(make, shipped):
    run = make.bench({"torch": [2e-3]}, shipped("conv/bench_smoke/resnet_3x3"))  # a round of 1e11 and 1e10
    with closing(open_store(make.path)) as store:
        round_ = Peaks(threads=1, dtype="float32", flops=2e11, bytes=5e9)
        store.add_rows(rows.ADD_PEAK, [rows.peak_row(run, round_)])
    with closing(read_store(make.path)) as store:
        (peaks,) = frames.times_of(store, run).peaks
    assert (peaks.flops, peaks.bytes) == (2e11, 1e10)


def test_an_empty_database_has_empty_frames(make):
    make.check()
    assert [len(frame(make.path)) for frame in (outcomes, agreement, timings)] == [0, 0, 0]
    assert list(timings(make.path).columns) == list(frames._TIMINGS)


def test_the_database_is_only_read(make):
    make.check(make.outcome(CASE, "torch"))
    before = make.path.read_bytes()
    outcomes(make.path)
    assert make.path.read_bytes() == before


def test_no_such_file(tmp_path):
    with pytest.raises(StoreError, match="no such database"):
        outcomes(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()


def test_without_pandas_one_sentence_says_what_to_install(make, monkeypatch):
    make.check(make.outcome(CASE, "torch"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ConvsuiteError, match=r"needs pandas, which is not installed: pip install 'convsuite\[reports\]'"
    ):
        outcomes(make.path)
