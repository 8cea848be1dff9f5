"""Hot, cold and first call: each is where its time is, and what cannot be trusted is seen as such."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from convsuite.store import read_store
from convsuite_reports import calls
from convsuite_reports.frames import times_of

STEADY, SHAKY = [1e-3, 1e-3], [1e-3, 2e-3]
MODES = {"hot": 1.0, "cold": 4.0}


def rows(make, run: int = 1):
    with closing(read_store(make.path)) as store:
        return list(times_of(store, run).rows("torch"))


def places(drawn, class_: str) -> list[tuple[float, bool]]:
    """Where the signs of a kind are across, to a few pixels, and whether each is hollow."""
    found = re.findall(rf'd="M([\d.]+) [^"]*" class="mark call-{class_}( faint)?"', str(drawn))
    return [(float(x), bool(hollow)) for x, hollow in found]


@pytest.fixture
def case(shipped):
    return shipped("conv/bench_smoke/resnet_3x3")


def test_each_kind_has_its_time_and_its_ratio_to_the_hot_one(make, case):
    make.bench({"torch": STEADY}, case, MODES)
    table = calls.by_problem(rows(make))
    assert table.columns == ("hot", "cold", "× hot", "first call", "× hot")
    (line,) = table.lines
    assert line.values == ("1.00 ms", "4.00 ms", "4.00", "50.0 ms", "50.0")
    said = ElementTree.fromstring(line.drawn).get("aria-label")
    assert said == "torch: hot 1.00 ms, cold 4.00 ms, first call 50.0 ms"


def test_what_takes_longer_is_further_to_the_right_on_one_axis(make, case):
    make.bench({"torch": STEADY, "jax": [2e-3, 2e-3]}, case, MODES)
    torch, jax = calls.by_problem(rows(make)).lines  # the faster first
    for line in (torch, jax):
        (hot,), (cold,), (first,) = (places(line.drawn, kind) for kind in ("hot", "cold", "first-call"))
        assert hot < cold < first
    assert places(torch.drawn, "hot") < places(jax.drawn, "hot")


def test_an_unstable_time_is_hollow_and_marked(make, case):
    make.bench({"torch": SHAKY}, case, MODES)
    (line,) = calls.by_problem(rows(make)).lines
    assert [hollow for kind in ("hot", "cold", "first-call") for _, hollow in places(line.drawn, kind)] == [
        True, True, False,
    ]  # fmt: skip
    assert [value[:1] for value in line.values] == ["~", "~", "4", "7", "5"]
    assert "hot: 1.50 ms, unstable" in line.drawn


def test_without_cold_times_there_is_no_column_of_them(make, case):
    make.bench({"torch": STEADY}, case)
    table = calls.by_problem(rows(make))
    assert table.columns == ("hot", "first call", "× hot")
    assert table.kinds == ("hot", "first call")


def test_a_gpus_kinds_come_first(make, case):
    make.bench({"torch": STEADY}, case, {"hot": 1.0, "throughput": 0.5, "device": 0.25})
    table = calls.by_problem(rows(make))
    assert table.columns == ("device", "× hot", "throughput", "× hot", "hot", "first call", "× hot")
    assert table.lines[0].values[:5] == ("250 µs", "0.250", "500 µs", "0.500", "1.00 ms")


def test_a_network_is_the_geometric_mean_over_the_problems_that_have_every_kind(make, case, shipped):
    others = (shipped("conv/bench_smoke/stem"), shipped("conv/bench_smoke/grouped"))
    for one, seconds, modes in ((case, 1e-3, MODES), (others[0], 4e-3, MODES), (others[1], 9.0, {"hot": 1.0})):
        make.bench({"torch": [seconds, seconds]}, one, modes)
    every = [row for run in (1, 2, 3) for row in rows(make, run)]
    (line,) = calls.by_network(every).lines
    assert (line.group, line.of) == ("bench_smoke", "2 of 3")
    assert line.values[:3] == ("2.00 ms", "8.00 ms", "4.00")


def test_most_decide_whether_a_network_is_hollow(make, case, shipped):
    names = ("stem", "grouped", "one_axis")
    for one, medians in zip(
        (case, *(shipped(f"conv/bench_smoke/{n}") for n in names)), (STEADY, SHAKY) * 2, strict=True
    ):
        make.bench({"torch": medians}, one)
    of = {run: rows(make, run) for run in (1, 2, 3, 4)}
    (half,) = calls.by_network([row for run in (1, 2) for row in of[run]]).lines
    (most,) = calls.by_network([row for run in (1, 2, 4) for row in of[run]]).lines
    assert [hollow for line in (half, most) for _, hollow in places(line.drawn, "hot")] == [False, True]


@pytest.mark.parametrize("slowest", [1e-3, 1e-1, 1e3, 1e6])
def test_names_of_ticks_do_not_run_into_one_another(make, case, slowest):
    make.bench({"torch": [1e-6, 1e-6], "jax": [slowest, slowest]}, case)
    axis = calls.by_problem(rows(make)).axis
    names = [(float(x), len(text)) for x, text in re.findall(r'<text x="([\d.]+)"[^>]*>([^<]+)<', axis)]
    assert len(names) >= 2
    assert all(x + 3.3 * long <= y - 3.3 * other for (x, long), (y, other) in pairwise(names))


def test_a_long_table_is_cut_and_says_so(make, case, monkeypatch):
    monkeypatch.setattr(calls, "_MOST", 1)
    make.bench({"torch": STEADY, "jax": STEADY}, case)
    table = calls.by_problem(rows(make))
    assert (len(table.lines), table.hidden) == (1, 1)
