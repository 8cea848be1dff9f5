"""The page of findings: up to date, each with a case that we ship, what it gave and what is right."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from convsuite import casefile, findings, known
from convsuite.findings import Defect, defects
from convsuite.known import KnownFailure, Listed
from convsuite.meaning import defects as calls
from convsuite.meaning.dialect import dialects

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
LISTS = Path(str(files("convsuite_cases"))) / "known_failures"


@cache
def shipped() -> tuple[Listed, ...]:
    return known.load([LISTS], frozenset()).listed


@cache
def ids() -> frozenset[str]:
    return frozenset(case.id for case in casefile.builtin().cases)


def check_entry(entry: KnownFailure, cases: frozenset[str]) -> None:
    """An entry names the smallest case of its defect, which is one of ours."""
    assert entry.smallest, f"{entry.cases[0]}: no smallest case"
    assert entry.smallest in cases, f"{entry.smallest} is no case"


def check_defect(defect: Defect) -> None:
    """Some entry on it covers the smallest case, and says what came of it and what is right."""
    primary = defect.primary.entry
    assert primary.covers(primary.smallest), f"{primary.smallest}: no entry covers it"
    assert primary.gave, f"{primary.smallest}: what did it give?"
    assert primary.right, f"{primary.smallest}: what is right?"


def test_the_page_is_up_to_date() -> None:
    if not PAGE.exists():
        pytest.skip("an installed package has no docs/ beside it")
    assert PAGE.read_text(encoding="utf-8") == findings.page(), "python -m convsuite.findings > docs/findings.md"


@pytest.mark.parametrize("listed", shipped(), ids=lambda one: f"{one.backend}: {one.entry.cases[0]}")
def test_an_entry_names_a_smallest_case_of_ours(listed: Listed) -> None:
    check_entry(listed.entry, ids())


@pytest.mark.parametrize("defect", defects(shipped()), ids=lambda one: f"{one.home}: {one.primary.entry.smallest}")
def test_a_defect_says_what_it_gave_and_what_is_right(defect: Defect) -> None:
    check_defect(defect)


def test_every_list_says_with_what_its_failures_were_seen() -> None:
    assert {one.backend for one in shipped() if not one.seen_with} == set()


def test_every_call_that_is_a_defect_is_told_and_its_backend_is_asked() -> None:
    for number, one in enumerate(calls.recorded(), 1):
        assert one.backend in dialects()
        assert one.gave != one.right
        assert one.link.startswith("https://github.com/") or one.link == "not reported"
        for line in (f"{number}. **{one.reason}**", f"- call: `{one.call}`", f"- gave: {one.gave}"):
            assert line in findings.page()


# A list as others might write it: one defect in two entries of one backend and one of another, and one by itself

ONE = """
backend: torch
seen_with: torch 2.13.0
failures:
  - {cases: [conv/a], status: mismatch, reason: loses a product, link: not reported, smallest: conv/b/1}
  - {cases: [conv/b/*], status: crash, reason: dies of a product, link: not reported, variants: ["torch:compile"],
     smallest: conv/b/1, gave: SIGSEGV, right: "[2]", passes: [grad_bias], cpu: [fma], always: false}
  - {cases: [conv/c], status: error, reason: torch.raises for once, link: "https://example.org/1", smallest: conv/c,
     gave: an error, right: none}
"""
OTHER = """
backend: keras
seen_with: keras 3.15
failures:
  - {cases: [conv/b/1], status: error, reason: told otherwise, link: not reported, variants: ["keras:torch"],
     smallest: conv/b/1, gave: "[3]", right: "[2]"}
  - {cases: [conv/d], status: error, reason: names no smallest case, link: not reported}
"""


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Listed, ...]:
    (tmp_path / "torch.yaml").write_text(ONE)
    (tmp_path / "keras.yaml").write_text(OTHER)
    return known.load([tmp_path], frozenset()).listed


def test_entries_of_one_case_and_link_are_one_defect(listed: tuple[Listed, ...]) -> None:
    first, second = defects(listed)
    assert [one.entry.cases[0] for one in first.entries] == ["conv/a", "conv/b/*", "conv/b/1"]
    assert (first.home, first.primary.entry.reason) == ("torch", "dies of a product")
    assert first.variants() == ("torch (all)", "keras:torch")
    assert first.gave == "SIGSEGV (torch); [3] (keras)"
    assert second.variants() == ("torch (all)",)
    assert (first.reported, second.reported) == (False, True)


def test_the_page_tells_a_defect_once_and_names_it_where_else_it_is_seen(
    tmp_path: Path, listed: tuple[Listed, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known_failures").mkdir()
    for name in ("torch.yaml", "keras.yaml"):
        (tmp_path / name).rename(tmp_path / "known_failures" / name)
    monkeypatch.setattr(findings, "files", lambda _: tmp_path)
    head, torch, keras, asked = findings.page().split("\n## ")
    assert asked.startswith("Found by asking for meanings")
    assert "2 defects" in head
    assert "| torch | torch 2.13.0 | 2 | 1 | 0 |\n| keras | keras 3.15 | 0 | 0 | 1 |\n" in head
    assert torch == (
        "torch\n\n"
        "1. **Dies of a product**\n"
        "   - case: `convsuite check 'conv/b/1' --backend torch:compile`\n"
        "   - gave: SIGSEGV (torch); [3] (keras)\n"
        "   - right: [2]\n"
        "   - where: torch (all), keras:torch; not what is due or the process dies or an exception; in grad_bias; "
        "on processors with fma; not each time\n"
        "   - upstream: *not reported*\n"
        "2. **torch.raises for once**\n"
        "   - case: `convsuite check 'conv/c' --backend torch`\n"
        "   - gave: an error\n"
        "   - right: none\n"
        "   - where: torch (all); an exception\n"
        "   - upstream: <https://example.org/1>\n"
    )
    assert keras == (
        "keras\n\nAlso seen here, and told elsewhere on this page:\n\n- torch 1: Dies of a product (keras:torch)\n"
    )


def test_the_checks_can_fail(listed: tuple[Listed, ...]) -> None:
    one = {listed.entry.cases[0]: listed for listed in listed}
    with pytest.raises(AssertionError, match="conv/d: no smallest case"):
        check_entry(one["conv/d"].entry, frozenset({"conv/d"}))
    with pytest.raises(AssertionError, match="conv/b/1 is no case"):
        check_entry(one["conv/a"].entry, frozenset({"conv/a"}))
    with pytest.raises(AssertionError, match="conv/b/1: no entry covers it"):
        check_defect(Defect((one["conv/a"],)))


def test_a_command_asks_for_the_gpu_that_it_takes() -> None:
    entry = KnownFailure(
        cases=("conv/a",), status="mismatch", reason="it is wrong there", link="not reported", device="cuda",
        smallest="conv/a", gave="1", right="2",
    )  # fmt: skip
    (defect,) = defects([Listed(backend="torch", seen_with="", place="", path=LISTS, entry=entry)])
    assert "`convsuite check 'conv/a' --backend torch --device cuda`" in "\n".join(findings._told(1, defect))


def test_entries_on_several_devices_and_passes_are_told_together() -> None:
    shared = {"status": "mismatch", "reason": "it is wrong there", "link": "not reported", "smallest": "conv/a"}
    entries = (
        KnownFailure(cases=("conv/a",), device="cpu", passes=("forward",), gave="1", right="2", **shared),  # type: ignore[arg-type]
        KnownFailure(cases=("conv/a",), passes=("grad_input",), **shared),  # type: ignore[arg-type]
    )
    (defect,) = defects(Listed(backend="torch", seen_with="", place="", path=LISTS, entry=e) for e in entries)
    assert findings._limits(defect) == "; not what is due; in forward, grad_input"
