"""What the texts tell a reader to type: every `convsuite` command parses, and every id of a shipped case exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import click
import pytest

from convsuite import casefile
from convsuite.case import Outcome, Pass, Status, Support
from convsuite.cli import main
from convsuite.environment import observe
from convsuite.errors import SelectorError
from convsuite.known import KnownFailure
from convsuite.operations import of
from convsuite.run import Report
from convsuite.selectors import select
from convsuite.store import Store, open_store

ROOT = Path(__file__).parents[2]
TEXTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
MADE_UP = ("conv", "edge", "example", "mine", "regressions")  # files of cases that a text makes up as it goes
WRITTEN_LATER = ("bench",)  # commands that a text announces

_ID = re.compile(r"(?<![\w/])conv/\w+/[\w.,=*+\-/]*")


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, sub in command.commands.items():
            yield from _commands(sub, f"{name} {below}")


EVERY = dict(_commands(main, "convsuite"))


def _texts() -> dict[str, str]:
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in TEXTS} | {
        name: command.help or "" for name, command in EVERY.items()
    }


def _code(text: str) -> Iterator[str]:
    """Yield the lines of code blocks, and code within sentences; of a help text, which has neither, every line."""
    language = None if "`" in text else "sh"
    for line in text.splitlines():
        if fence := re.match(r" *```(\w*)", line):
            language = (fence[1] or "sh") if language is None else None
        elif language in ("sh", "console"):
            yield line
        elif language is None:
            yield from re.findall(r"`([^`]+)`", line)


def commands(text: str) -> list[list[str]]:
    """The words of every convsuite command that stands at the beginning of a line of code, or after a path or `$`."""
    found = []
    for line in _code(text):
        start = re.match(r"\s*(?:\$ |or: |\w+: )?(?:\.venv/bin/)?convsuite(?= |$)", line)
        if start:
            said = re.split(r" {2,}| > ", line[start.end() :].strip())[0]
            found.append(shlex.split(said, comments=True))
    return found


ALL = [(where, words) for where, text in _texts().items() for words in commands(text)]
IDS = [(where, m[0]) for where, text in _texts().items() for m in _ID.finditer(text)]


@cache
def shipped() -> casefile.Suite:
    return casefile.builtin()


def parse(words: list[str]) -> dict[str, Any]:
    """Return the parameters of a command line without running it; raise click's error where it is none."""
    seen: dict[str, Any] = {}
    with ExitStack() as stack:
        for command in EVERY.values():
            if not isinstance(command, click.Group):
                stack.enter_context(patch.object(command, "callback", lambda **given: seen.update(given)))
        main.main(words, prog_name="convsuite", standalone_mode=False)
    return seen


def check_command(words: list[str]) -> None:
    """Parse a command line; its cases must exist, unless it is about cases of the reader's own."""
    if not words or "--help" in words or words[:1] in [[name] for name in WRITTEN_LATER]:
        return
    given = parse(words)
    asked = given.get("selectors") or [given.get("case_id")]
    asked = [a for a in asked if a and a != "CASE" and not re.match(rf"conv/({'|'.join(MADE_UP)})\b", a)]
    if asked and not given.get("folders"):
        assert select(shipped().cases, asked, "real")


@pytest.mark.parametrize(("where", "words"), ALL, ids=[f"{w}: {' '.join(c)}" for w, c in ALL])
def test_a_command_can_be_typed(where: str, words: list[str]) -> None:
    check_command(words)


@pytest.mark.parametrize(("where", "id_"), IDS, ids=[f"{w}: {i}" for w, i in IDS])
def test_an_id_is_that_of_a_case(where: str, id_: str) -> None:
    check_id(id_)


def check_id(id_: str) -> None:
    """An id, or a beginning of some, or a glob; a text may make up files, but none that looks like one of ours."""
    if id_.split("/")[1] not in MADE_UP:
        assert select(shipped().cases, [id_.rstrip("/.,")], "real")


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_names_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\bconvsuite(?:_backends)?\.[a-z_.]+\.[A-Z]\w*", text):
        resolve_name(name)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / link).exists(), link
    for module in re.findall(r"\bconvsuite(?:_backends|_cases|_reports)?/[\w/]+\.\w+", text):
        assert any((ROOT / room / module).exists() for room in ("harness", "backends", "cases", "reports")), module


def test_commands_and_ids_are_found_in_each_place() -> None:
    assert len(ALL) > 45
    assert {"README.md", "docs/case-files.md", "docs/add-a-backend.md", "convsuite", "convsuite check"} <= {
        where for where, _ in ALL
    }
    assert {"README.md", "convsuite", "convsuite show"} <= {where for where, _ in IDS}


def test_no_made_up_file_is_one_of_ours() -> None:
    assert not {Path(c.origin.file).stem for c in shipped().cases} & set(MADE_UP)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\nconvsuite chek\n```", click.UsageError),
        ("```console\n$ convsuite check --bakend torch   # a comment\n```", click.UsageError),
        ("```toml\nx = 1\n```\nso `convsuite list cases --level all` shows it", click.UsageError),
        ("  convsuite coverage nosuch", click.UsageError),
        ("```toml\nx = 1\n```\n```sh\nconvsuite show conv/basic/corr2d\n```", SelectorError),
        ("convsuite check stride=99", SelectorError),
    ],
)
def test_a_wrong_command_is_found(text: str, wrong: type[Exception]) -> None:
    (words,) = commands(text)
    with pytest.raises(wrong):
        check_command(words)


def test_a_wrong_id_is_found() -> None:
    with pytest.raises(SelectorError):
        check_id("conv/worked/padding_4x4")


def section(name: str, title: str) -> str:
    """Return what stands under a heading of a text in docs/, up to the next."""
    _, found, rest = (ROOT / "docs" / name).read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert found
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[str]:
    """The first cells of a text's tables that hold code, without the rest."""
    return re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)


ATTRIBUTES = [cell.strip("`") for cell in rows(section("add-a-backend.md", "What `case` has"))]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_case_has_what_the_table_says(attribute: str) -> None:
    first, *path = attribute.split(".")
    assert first == "case"
    attrgetter(".".join(path))(select(shipped().cases, ["conv/basic/cross_correlation"], "full")[0])


def test_the_table_of_a_case_is_found_and_the_output_shape_is_as_told() -> None:
    assert len(ATTRIBUTES) > 20
    case = select(shipped().cases, ["conv/basic/cross_correlation"], "full")[0]
    assert of(case).output_shape(case) == (1, 1, 2, 2)
    assert {"role", "shape", "memory_format"} <= set(dir(case.operands[0]))


def test_every_key_of_a_known_failure_is_told() -> None:
    keys = [cell.strip("`") for cell in rows(section("add-a-backend.md", "Known failures"))]
    assert sorted(keys) == sorted(KnownFailure.__struct_fields__)


def outcome(backend: str, status: Status, case_id: str, message: str = "") -> Outcome:
    return Outcome(
        case_id=case_id, operation="conv", dtype="float32", pass_=Pass.FORWARD, backend=backend, device="cpu",
        status=status, support=Support.native(), message=message,
    )  # fmt: skip


@pytest.fixture
def two_runs(tmp_path: Path) -> Iterator[Store]:
    """A database of two runs; only the newer one has anything to tell."""
    store = open_store(tmp_path / "convsuite.db")
    store.add(
        store.begin(observe(1, None), "old"), Report(case=None, outcomes=(outcome("torch", Status.ERROR, "old"),))
    )
    run = store.begin(observe(1, None), "new")
    said = (
        outcome("torch", Status.CRASH, "a", "died"),
        outcome("torch", Status.PASSED, "b"),
        outcome("jax", Status.MISMATCH, "a", "wrong"),
        *(outcome("jax", Status.UNSUPPORTED, name, "no int8") for name in "bc"),
    )
    store.add(run, Report(case=None, outcomes=said))
    with store.connection as connection:
        versions = '{"torch":"2.13.0","onednn":"3.12.0"}'
        connection.execute("INSERT INTO backend VALUES (?, 'torch', 'cpu', 'ready', ?, '{}', 1.0)", (run, versions))
    yield store
    store.close()


def test_the_queries_of_the_results_answer(two_runs: Store) -> None:
    text = section("judging.md", "In the database")
    queries = re.findall(r'^sqlite3 -box convsuite\.db "([^"$`]+)"$', text, re.MULTILINE)
    assert [[tuple(row) for row in two_runs.rows(query)] for query in queries] == [
        [("a", "forward", "crash", "died")],
        [("jax", "no int8", 2)],
        [("torch", "torch", "2.13.0"), ("torch", "onednn", "3.12.0")],
    ]


def test_every_table_column_and_status_is_told(two_runs: Store) -> None:
    text = section("judging.md", "In the database") + section("bench.md", "In the database")
    tables = [row[0] for row in two_runs.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {row[1] for table in tables for row in two_runs.rows(f"PRAGMA table_info({table})")}
    told = set(re.findall(r"`(\w+)`", text))
    assert {*tables, *columns, *(status.value for status in Status)} - told == set()
