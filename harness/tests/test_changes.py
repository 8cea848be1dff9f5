"""Two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from convsuite.case import Outcome, Pass, Status, Support
from convsuite.changes import Changes, Found, Kind, Side, between, kind_of, merged
from convsuite.cli import main
from convsuite.environment import Environment
from convsuite.errors import StoreError
from convsuite.run import Report
from convsuite.store import open_store

HERE = Environment(
    platform="Linux-6", python="3.12.1", numpy="2.4.0", convsuite="0.1", cpu="A CPU", isa=("avx2",), cores=2, threads=1,
    variables=(), cases_revision="0123456789ab",
)  # fmt: skip
OUTCOME = Outcome(
    case_id="conv/a/b", operation="conv", dtype="float32", pass_=Pass.FORWARD, backend="torch", device="cpu",
    status=Status.PASSED, support=Support.native(), digest="00",
)  # fmt: skip
FOUND = Found(
    case_id="conv/a/b", pass_="forward", backend="torch", status="passed", support="native", message="", digest="00",
    error_units=0.0,
)  # fmt: skip


def run(path: Path, *outcomes: Outcome, version: str = "2.13.0") -> None:
    with closing(open_store(path)) as store:
        number = store.begin(HERE, "convsuite check")
        row = (number, "torch", "cpu", "ready", f'{{"torch":"{version}"}}', "{}", 0.5)
        store.add_rows("INSERT INTO backend VALUES (?, ?, ?, ?, ?, ?, ?)", [row])
        store.add(number, Report(case=None, outcomes=outcomes))
        store.finish(number, "finished")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("passed", "passed", None),
        ("passed", "mismatch", Kind.BEGAN),
        ("passed", "known_failure", Kind.BEGAN),
        ("unsupported", "crash", Kind.BEGAN),
        ("fixed_upstream", "error", Kind.BEGAN),
        ("error", "passed", Kind.CEASED),
        ("known_failure", "fixed_upstream", Kind.CEASED),
        ("error", "crash", Kind.OTHERWISE),
        ("mismatch", "known_failure", None),
        ("unsupported", "passed", Kind.GAINED),
        ("passed", "unsupported", Kind.LOST),
    ],
)
def test_what_became_of_a_check(before: str, after: str, kind: Kind | None) -> None:
    assert kind_of(replace(FOUND, status=before), replace(FOUND, status=after)) is kind


def test_other_bits_are_told_of_right_and_of_wrong_answers() -> None:
    assert kind_of(FOUND, replace(FOUND, digest="01")) is Kind.BITS
    wrong = replace(FOUND, status="mismatch")
    assert kind_of(wrong, replace(wrong, digest="01")) is Kind.OTHERWISE


def keys(*names: str) -> Iterator[Found]:
    return iter([replace(FOUND, case_id=name) for name in names])


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("ab", ""), ("", "ab"), ("abc", "abc"), ("ac", "bd"), ("bcd", "ae"), ("azö", "zö")]
)
def test_merging_gives_every_key_once_and_in_order(before: str, after: str) -> None:
    pairs = list(merged(keys(*before), keys(*after)))
    assert [(a or b).case_id for a, b in pairs if a or b] == sorted({*before, *after})
    assert [a.case_id for a, _ in pairs if a] == list(before)
    assert [b.case_id for _, b in pairs if b] == list(after)
    assert all(a.case_id == b.case_id for a, b in pairs if a and b)


def test_the_command_tells_what_began_and_what_may_explain_it(tmp_path: Path) -> None:
    db = tmp_path / "r.db"
    other = replace(OUTCOME, case_id="conv/a/c", status=Status.MISMATCH, message="3 of 9 wrong")
    run(db, OUTCOME, other)
    run(
        db, replace(OUTCOME, status=Status.CRASH, message="died <b>"), replace(other, status=Status.PASSED), version="3"
    )
    result = CliRunner().invoke(main, ["diff", "1", "last", "--db", str(db)])
    assert result.exit_code == 3
    assert "torch differs: torch 2.13.0 → torch 3" in result.output
    assert "conv/a/b [forward] on torch: passed → crash: died <b>" in result.output
    assert "2 checks in both: 1 began to fail, 1 ceased to fail" in result.output


def test_a_failing_check_that_the_first_run_did_not_have_is_said_to_be_new(tmp_path: Path) -> None:
    run(tmp_path / "r.db", OUTCOME)
    run(tmp_path / "r.db", replace(OUTCOME, case_id="conv/a/c", status=Status.CRASH, message="died"))
    result = CliRunner().invoke(main, ["diff", "1", "2", "--db", str(tmp_path / "r.db")])
    assert "conv/a/c [forward] on torch: not in the first → crash: died" in result.output.replace("\n", " ")


def test_what_is_not_known_of_a_run_is_a_dash() -> None:
    one, other = (Side(name="run", started="", about={"cases_revision": word}) for word in ("0123", ""))
    assert Changes(one, other).about == [("cases_revision", "0123", "–")]


def test_the_same_run_has_no_difference(tmp_path: Path) -> None:
    run(tmp_path / "r.db", OUTCOME)
    result = CliRunner().invoke(main, ["diff", "1", "1", "--db", str(tmp_path / "r.db")])
    assert (result.exit_code, "1 check in both: no difference" in result.output) == (0, True)


def test_runs_of_two_databases(tmp_path: Path) -> None:
    run(tmp_path / "a.db", OUTCOME)
    run(tmp_path / "b.db", replace(OUTCOME, case_id="conv/z/z"))
    found = between(f"{tmp_path / 'a.db'}:1", "1", tmp_path / "b.db")
    assert (found.common, found.counts[Kind.ONLY_BEFORE], found.counts[Kind.ONLY_AFTER]) == (0, 1, 1)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    run(tmp_path / "r.db", OUTCOME)
    with pytest.raises(StoreError, match=r"no check is run '7'; it has outcomes of run 1 "):
        between("1", "7", tmp_path / "r.db")


@pytest.mark.parametrize("status", ["mismatch", "error", "crash", "timeout"])
def test_what_is_new_and_fails_has_begun_to(status: str) -> None:
    """A backend that can no longer be imported has one outcome more, and all others no more."""
    assert kind_of(None, replace(FOUND, status=status)) is Kind.BEGAN
    assert kind_of(None, FOUND) is Kind.ONLY_AFTER
    assert kind_of(None, replace(FOUND, status="known_failure")) is Kind.ONLY_AFTER  # somebody has listed it
