"""The runs of a database over time: each trend is what the runs were, and says where runs cannot be compared."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from convsuite.case import Pass, Status
from convsuite.cli import main
from convsuite.store import read_store
from convsuite_reports import history, overtime, runinfo, speeds, trends
from convsuite_reports.marks import Mark
from convsuite_reports.overtime import Chart, Lane, Line, Point

FIRST, SECOND = "conv/a/x", "conv/a/y"


def verdict_of(make, share: float):
    right = make.outcome(FIRST, "torch").verdict
    return {"verdict": replace(right, guaranteed_share=share)}


def told(make):
    with closing(read_store(make.path)) as store:
        return history.history_of(store, None)


def titles(drawn, name: str, class_: str) -> list[str]:
    """What is told of each sign of a class, in its order."""
    found = (e for e in ElementTree.fromstring(drawn).iter(name) if class_ in (e.get("class") or "").split())
    return [e[0].text or "" for e in found if len(e)]


def levels(drawn) -> list[float]:
    """The multiples that a chart of speeds tells, in its order."""
    return [float(re.search(r"([\d.]+) × the first", text).group(1)) for text in titles(drawn, "path", "mark")]


def test_the_last_run_of_a_diff_is_the_newest_check_and_no_bench(make, shipped):
    make.check(make.outcome(FIRST, "torch"))
    make.check(make.outcome(FIRST, "torch", Status.CRASH, message="died"))
    make.bench({"torch": [2e-3]}, shipped("conv/bench_smoke/resnet_3x3"))
    result = CliRunner().invoke(main, ["diff", "1", "last", "--db", str(make.path)])
    assert (result.exit_code, "1 check in both: 1 began to fail" in result.output) == (3, True), result.output


def test_a_check_is_compared_with_the_newest_before_it_that_has_some_of_its_checks(make):
    make.check(make.outcome(FIRST, "torch"))
    make.check(make.outcome(SECOND, "torch"))
    make.check(make.outcome(FIRST, "torch", Status.CRASH, message="died"), make.outcome(FIRST, "jax"))
    with closing(read_store(make.path)) as store:
        assert [runinfo.before(store, run) for run in (1, 2, 3)] == [None, None, 1]
    found = told(make).changes
    assert [(c.before.name, c.after.name) for c in found] == [("run 1", "run 3")]


def test_errors_of_other_cases_are_not_joined(make):
    for names in ((FIRST,), (FIRST, SECOND), (FIRST, SECOND), (FIRST,), (FIRST, SECOND)):
        make.check(*(make.outcome(name, "torch", **verdict_of(make, 0.5)) for name in names))
    (largest, _) = told(make).errors
    faint = titles(largest.drawn, "path", "faint")
    joined = [
        e.get("d") for e in ElementTree.fromstring(largest.drawn).iter("path") if "joined" in (e.get("class") or "")
    ]
    assert len(faint) == 2
    assert len(joined) == 1  # from the second to the third


def test_each_run_is_summed_up_by_backend(make):
    make.check(make.outcome(FIRST, "torch"), make.outcome(SECOND, "torch", Status.KNOWN_FAILURE, known="lost"))
    make.check(make.outcome(FIRST, "torch", Status.CRASH, message="died"), make.outcome(SECOND, "torch"),
               make.outcome(FIRST, "jax", Status.UNSUPPORTED, message="no"))  # fmt: skip
    with closing(read_store(make.path)) as store:
        sums = trends.sums_of(store, (1, 2))
    assert {key: dict(each.marks) for key, each in sums.items()} == {
        (1, "torch"): {Mark.NATIVE: 1, Mark.KNOWN: 1},
        (2, "torch"): {Mark.CRASH: 1, Mark.NATIVE: 1},
        (2, "jax"): {Mark.UNSUPPORTED: 1},
    }
    assert sums[1, "torch"].units == 1.5


def test_the_bars_of_a_backend_are_its_counts_and_another_selection_is_faint(make):
    make.check(make.outcome(FIRST, "torch"))
    make.check(make.outcome(FIRST, "torch"), make.outcome(SECOND, "torch", Status.MISMATCH, message="1 wrong"))
    (drawn,) = [trend.drawn for trend in told(make).outcomes]
    assert [text.partition(": ")[2] for text in titles(drawn, "rect", "share-native")] == [
        "0 found, 0 known to fail, 1 right", "1 found, 0 known to fail, 1 right",
    ]  # fmt: skip
    assert len(titles(drawn, "rect", "share-found")) == 1
    assert len(titles(drawn, "rect", "faint")) == 1
    assert "1 found" in (ElementTree.fromstring(drawn).get("aria-label") or "")


@pytest.mark.parametrize(("used", "most", "middle"), [((0.1,), 0.1, 0.1), ((0.4, 0.1, 0.2, 0.7), 0.7, 0.3)])
def test_the_share_of_the_bound_is_the_largest_and_the_median_of_those_with_an_error(make, used, most, middle):
    make.check(
        *(make.outcome(f"conv/a/{i}", "torch", **verdict_of(make, share)) for i, share in enumerate((*used, 0.0))),
        make.outcome("conv/a/wrong", "torch", Status.MISMATCH, **verdict_of(make, 9.0)),
    )
    with closing(read_store(make.path)) as store:
        ((key, share),) = trends.shares_of(store, (1,)).items()
    assert key == (1, "torch")
    assert (share.most, share.middle) == (pytest.approx(most), pytest.approx(middle))


def test_one_check_has_no_trend(make):
    make.check(make.outcome(FIRST, "torch"))
    found = told(make)
    assert (found.outcomes, found.errors, found.speeds.trends) == ((), (), ())


def test_outcomes_are_read_as_often_of_many_runs_as_of_few(make):
    """A database may hold a million: SQL sums up, in one go."""
    counts = []
    for more in (2, 6):
        for _ in range(more):
            make.check(make.outcome(FIRST, "torch"))
        with closing(read_store(make.path)) as store:
            asked: list[str] = []
            store.connection.set_trace_callback(asked.append)
            numbers = tuple(range(1, more + 1))
            trends.sums_of(store, numbers)
            trends.shares_of(store, numbers)
            counts.append(len(asked))
    assert counts == [2, 2]


def test_versions_are_told_from_the_run_that_first_had_them(make):
    for version in ("2.12.0", "2.12.0", "2.13.0"):
        make.backends = {"torch": version}
        make.check(make.outcome(FIRST, "torch"))
    largest, _ = told(make).errors
    assert titles(largest.drawn, "path", "version") == ["torch 2.12.0", "torch 2.13.0"]
    words = [e.text for e in ElementTree.fromstring(largest.drawn).iter("text")]
    assert {"torch 2.12.0", "2.13.0"} <= set(words)


def bench(make, case, **medians: float) -> int:
    return make.bench({name: [seconds] for name, seconds in medians.items()}, case)


def test_speed_goes_from_bench_to_bench_over_what_both_timed(make, shipped):
    one, other = (shipped(f"conv/bench_smoke/{name}") for name in ("resnet_3x3", "stem"))
    for case, seconds in ((one, 1e-3), (other, 5e-3), (one, 2e-3), (other, 5e-3), (one, 1e-3)):
        bench(make, case, torch=seconds)
    found = told(make).speeds
    (trend,) = found.trends
    assert trend.caption == "bench_smoke, lower is faster"
    assert levels(trend.drawn) == [1, 1, 2, 1, 1]
    assert [line.ratio for line in found.lines] == ["0.500", "1.00", "2.00", "", ""]  # the newest first


def test_a_problem_that_changed_or_another_processor_starts_anew(make, shipped):
    case = shipped("conv/bench_smoke/resnet_3x3")
    changed = replace(case, seed=case.seed + 1)
    bench(make, case, torch=1e-3)
    bench(make, changed, torch=9e-3)
    make.cpu = "Another"
    bench(make, changed, torch=4e-3)
    (trend,) = told(make).speeds.trends
    assert levels(trend.drawn) == [1, 1, 1]
    assert not titles(trend.drawn, "path", "joined")
    assert "joined" not in trend.drawn


def test_an_unstable_bench_is_hollow(make, shipped):
    case = shipped("conv/bench_smoke/resnet_3x3")
    bench(make, case, torch=1e-3)
    make.bench({"torch": [1e-3, 2e-3]}, case)
    (trend,) = told(make).speeds.trends
    assert [text[-10:] for text in titles(trend.drawn, "path", "faint")] == ["1 unstable"]


def test_each_step_is_a_geometric_mean():
    chain = speeds.Chain()

    def times(**medians: float):
        for name, seconds in medians.items():
            cell = speeds.Cell(
                case_id=name, pass_=Pass.FORWARD, backend="torch", device="cpu", threads=1, mode="hot"
            )  # fmt: skip
            yield speeds.Timed(cell=cell, problem="", cpu="", median_s=seconds, unstable=False)

    assert chain.step(times(a=1, b=1)) == speeds.Step(level=1, ratio=None)
    step = chain.step(times(a=2, b=8, c=5))
    assert (step.level, step.ratio) == (pytest.approx(4), pytest.approx(4))
    step = chain.step(times(c=10))  # what came in at 4 times the first, twice as slow
    assert (step.level, step.ratio) == (pytest.approx(8), pytest.approx(2))


def _chart(*values: float, lanes: tuple[Lane, ...] = (), **marked: float):
    points = tuple(Point(at=i, y=y, label=f"{y}", apart=i == 2) for i, y in enumerate(values))
    line = Line(name="torch", number=0, points=points)
    runs = tuple(range(1, len(values) + 1))
    return overtime.draw(Chart(title="t", y="y", label=str, runs=runs, lines=(line,), lanes=lanes, **marked))


@pytest.mark.parametrize("values", [(1.0,), (1.0, 1.0), (1e-3, 70.0, 2.0), (0.97, 1.02, 1.3)])
def test_each_point_is_within_the_frame_and_larger_is_higher(values):
    marks = re.findall(r'd="M([\d.]+) ([\d.]+)[^"]*" class="mark', _chart(*values))
    places = [(float(x), float(y)) for x, y in marks]
    assert all(60 <= x <= 720 and 8 <= y <= 246 for x, y in places)
    order = sorted(range(len(values)), key=lambda i: values[i])
    heights = [places[i][1] for i in order]
    assert heights == sorted(heights, reverse=True)


def test_no_line_leads_to_what_cannot_be_compared():
    lines = re.findall(r'd="(M[^"]*)" class="joined', _chart(1.0, 2.0, 3.0, 4.0))
    assert [path.count("L") for path in lines] == [1, 1]


def test_versions_do_not_run_into_one_another():
    lane = Lane(name="torch", versions=tuple((i, f"2.{i}.0") for i in range(40)))
    drawn = _chart(*([1.0] * 40), lanes=(lane,))
    texts = [e for e in ElementTree.fromstring(drawn).iter("text") if "2." in (e.text or "")]
    assert len(titles(drawn, "path", "version")) == 40
    spans = []
    for e in texts:
        x, wide = float(e.get("x") or 0), 6.0 * len(e.text or "")
        spans.append((x - wide, x) if e.get("text-anchor") == "end" else (x, x + wide))
    spans.sort()
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_the_page_tells_directions_and_links_the_dashboard_where_it_is(make, shipped, tmp_path, monkeypatch):
    case = shipped("conv/bench_smoke/resnet_3x3")
    for _ in range(2):
        make.check(make.outcome(FIRST, "torch"))
        bench(make, case, torch=1e-3)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "deep" / "er" / "site"
    out.parent.mkdir(parents=True)

    def text(page: str) -> str:
        words = ["report", "--db", str(make.path), "-o", str(out)]
        assert CliRunner().invoke(main, words).exit_code == 0
        return (out / f"{page}.html").read_text(encoding="utf-8")

    assert text("history").count("lower is") >= 4
    assert "dashboard" not in text("index")
    Path(".asv/html").mkdir(parents=True)
    Path(".asv/html/index.html").touch()
    for page in ("index", "performance", "history"):
        (address,) = re.findall(r'href="([^"]*asv[^"]*)"', text(page))
        assert address.startswith("../")
        assert (out / address).resolve() == (tmp_path / ".asv/html/index.html").resolve()
