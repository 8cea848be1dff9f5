"""A run for other programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import closing
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from convsuite.case import Status
from convsuite.cli import main
from convsuite.store import open_store
from convsuite_reports import outcomes
from convsuite_reports.exports import plain


@pytest.fixture
def database(make):
    make.check(make.outcome("conv/a/x", "torch"), make.outcome("conv/a/y", "torch"))
    make.check(
        make.outcome("conv/a/x", "torch"),
        make.outcome("conv/a/y", "torch", Status.CRASH, message='died, "so"\nto | speak <b>'),
        make.outcome("conv/a/z", "jax", Status.UNSUPPORTED, message="no"),
    )
    return make


def export(make, form: str, *more: object) -> str:
    result = CliRunner().invoke(main, ["export", form, "--db", str(make.path), *map(str, more)])
    assert result.exit_code == 0, result.output
    return result.output


def test_csv_has_the_columns_of_the_frame_and_every_row(database):
    rows = list(csv.DictReader(io.StringIO(export(database, "csv"))))
    assert list(rows[0]) == list(outcomes(database.path).columns)
    assert [row["message"] for row in rows] == ["", 'died, "so"\nto | speak <b>', "no"]


def test_json_is_an_object_a_line(database):
    lines = [json.loads(line) for line in export(database, "json", "--run", 1).splitlines()]
    assert [(line["run"], line["status"]) for line in lines] == [(1, "passed"), (1, "passed")]


def test_parquet_is_what_the_frame_is(database, tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    export(database, "parquet", "-o", tmp_path / "o.parquet")
    read, frame = pandas.read_parquet(tmp_path / "o.parquet"), outcomes(database.path, run=2)
    assert list(read.columns) == list(frame.columns)
    assert read.message.tolist() == frame.message.tolist()
    assert read.suspect.tolist() == frame.suspect.tolist()
    assert read.error_units.fillna(-1).tolist() == frame.error_units.fillna(-1).tolist()


def test_parquet_needs_a_file_and_its_library(database, tmp_path, monkeypatch):
    words = ["export", "parquet", "--db", str(database.path)]
    assert "name a file with -o" in CliRunner().invoke(main, words).output
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "o.parquet")])
    assert "pip install 'convsuite[parquet]'" in result.output


def test_junit_is_that_of_check(database):
    suite = ElementTree.fromstring(export(database, "junit").encode())[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")


def test_a_stale_known_failure_is_told_in_the_words_of_check(make):
    make.check(make.outcome("conv/a/x", "torch"), stale=["torch.yaml: 'conv/gone' matches no case"])
    suite = ElementTree.fromstring(export(make, "junit").encode())[0]
    (stale,) = (test for test in suite if test.get("classname") == "known_failures")
    assert stale.get("name") == stale[0].get("message") == "torch.yaml: 'conv/gone' matches no case"
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    text = export(make, "markdown")
    assert text.startswith("## 1 finding in 1 check of 1 case on 1 backend\n\n1 right, 1 stale known failure.\n")
    assert "- stale known failure: torch.yaml: 'conv/gone' matches no case\n" in text
    assert "1 finding" in export(make, "badge")


def test_the_summary_tells_the_verdict_the_findings_and_what_changed(database):
    text = export(database, "markdown")
    assert text.startswith("## 1 finding in 3 checks of 3 cases on 2 backends, all on torch\n")
    assert "| torch | 2 | 1 | 0 | 0 | 1 |" in text
    assert "- conv/a/y [forward] on torch: crash: died".replace("[", "\\[").replace("]", "\\]") in text
    assert "- **1 began to fail**\n  - conv/a/y" in text
    assert "<b>" not in text


def test_markdown_shows_what_is_outside_as_it_is():
    assert plain("a|b <img src=x>\n# `c` [d](e)") == "a\\|b &lt;img src=x> \\# \\`c\\` \\[d\\](e)"


@pytest.mark.parametrize(("run", "said"), [(1, "2 right"), (2, "1 finding")])
def test_the_badge_is_a_picture_that_says_it(database, run, said):
    picture = ElementTree.fromstring(export(database, "badge", "--run", run))
    assert picture.get("aria-label") == f"convsuite: {said}"


def test_a_file_that_cannot_be_written(database, tmp_path):
    words = ["export", "csv", "--db", str(database.path), "-o", str(tmp_path / "no" / "o.csv")]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "cannot be written" in result.output) == (2, True)


@pytest.mark.parametrize("form", ["csv", "parquet", "badge"])
def test_a_database_is_never_written_over(database, form):
    before = database.path.read_bytes()
    result = CliRunner().invoke(main, ["export", form, "--db", str(database.path), "-o", str(database.path)])
    assert (result.exit_code, "is a database, and left as it is" in result.output) == (2, True)
    assert database.path.read_bytes() == before


def test_a_run_that_was_not_finished_is_no_good_news(make):
    make.check(make.outcome("conv/a/x", "torch"))
    assert "not finished" not in export(make, "markdown") + export(make, "badge")
    with closing(open_store(make.path)) as store:
        store.finish(1, "interrupted")
    assert "\n**This run was not finished: interrupted.**\n" in export(make, "markdown")
    assert ElementTree.fromstring(export(make, "badge")).get("aria-label") == "convsuite: not finished, 1 right"
