"""Rows kept for the shipped pairwise sweeps: whole, and all that is asked for."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from convsuite import casefile, coverings, sweep


def test_kept_rows_hold_every_pair() -> None:
    kept = coverings._kept()
    assert kept
    for key, rows in kept.items():
        sizes = tuple(map(int, key.split("x")))
        covered = {(i, row[i], j, row[j]) for row in rows for i, j in combinations(range(len(sizes)), 2)}
        due = {
            (i, a, j, b)
            for i, j in combinations(range(len(sizes)), 2)
            for a, b in product(range(sizes[i]), range(sizes[j]))
        }
        assert covered == due, key


def test_the_shipped_sweeps_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    find = sweep.covering
    monkeypatch.setattr(sweep, "covering", lambda sizes: asked.append(sizes) or find(sizes))
    casefile.builtin()
    assert asked
    missing = {sizes for sizes in asked if len(sizes) > 1 and coverings.kept(sizes) is None}
    assert not missing, "python -m convsuite.coverings > harness/convsuite/coverings/rows.json"
