"""The made-up database: as large as asked for, with as many findings, and a report can be made of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from convsuite.cli import main
from convsuite.store import read_store


def test_it_is_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks.make_database import make

    made = make(tmp_path / "big.db", outcomes=2000, findings=20)
    assert 2000 <= made < 3000
    with closing(read_store(tmp_path / "big.db")) as store:
        wrong = "('mismatch', 'error', 'crash', 'timeout')"
        (counted,) = store.rows(f"SELECT count(*), sum(status IN {wrong}) FROM outcome")
        assert tuple(counted) == (made, 20)
    words = ["report", "--db", str(tmp_path / "big.db"), "-o", str(tmp_path / "site")]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert len(list((tmp_path / "site" / "findings").glob("*.html"))) >= 20
