"""The page on one finding: the case, where it is wrong, what each backend says, and the way back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from convsuite import casefile, evidence, show
from convsuite.case import Case
from convsuite.errors import ConvsuiteError
from convsuite.evidence import Evidence
from convsuite.run import IMPORT
from convsuite_reports import errormap, geometry
from convsuite_reports.gathered import Known
from convsuite_reports.marks import FOUND, Mark, mark_of

if TYPE_CHECKING:
    from convsuite.store import Store

_LONGEST = 6000  # signs of a case's YAML or page
_LINK = re.compile(r"https://[^\s()<>\"']+")
_OUTCOMES = """SELECT pass, backend, status, support, reason, message, error_units, digest
    FROM outcome WHERE run = ? AND case_id = ? ORDER BY pass, backend"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one backend made of one pass."""

    pass_: str
    backend: str
    mark: Mark
    words: str
    message: str
    units: str
    bits: str  # a letter: equal ones are equal bits
    ours: bool  # the backend that the page is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Where one pass is wrong."""

    pass_: str
    shape: str
    told: str
    maps: tuple[tuple[str, Markup], ...]
    levels: tuple[tuple[str, str], ...]  # of the maps, and their words
    backends: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the page on a case and a backend has."""

    name: str
    case_id: str
    backend: str
    marks: tuple[Mark, ...]
    messages: tuple[tuple[str, str], ...]  # passes, sentence
    upstream: Markup  # the known failure's reason, its links to be followed
    answers: tuple[Answer, ...]
    wrong: tuple[Wrong, ...]
    drawings: tuple[tuple[str, Markup], ...]
    words: str  # the case as `convsuite show` tells it
    yaml: str
    absent: str  # why there is no case; "" where there is one
    commands: tuple[tuple[str, str], ...]
    others: tuple[str, ...]  # cases that are the same known failure
    count: int  # of the known failure


@dataclass(frozen=True, slots=True)
class Cases:
    """The case files that a report may read: a run's ids are found in them as they are today."""

    folders: tuple[Path, ...]
    by_id: dict[str, Case]
    why: str  # why there are none; ""

    @staticmethod
    def of(folders: Sequence[Path], ids: Sequence[str]) -> Cases:
        """Return the cases of some ids, of folders or of those that convsuite ships."""
        wanted = set(ids)
        if not wanted:  # without globs all that convsuite ships would be read, for nothing
            return Cases(tuple(folders), {}, "")
        try:
            suite = casefile.load(folders) if folders else casefile.builtin(globs=tuple(wanted))
        except ConvsuiteError as error:
            return Cases(tuple(folders), {}, str(error))
        return Cases(tuple(folders), {case.id: case for case in suite.cases if case.id in wanted}, "")


def page_on(store: Store, run: int, name: str, case_id: str, backend: str, cases: Cases, known: Known | None) -> Page:
    """Return the page on a case and a backend."""
    answers = tuple(_answers(store, run, case_id, backend))
    ours = [a for a in answers if a.ours and (a.mark in FOUND or a.mark is Mark.KNOWN)]
    case = cases.by_id.get(case_id)
    return Page(
        name=name,
        case_id=case_id,
        backend=backend,
        marks=tuple(dict.fromkeys(a.mark for a in ours)),
        messages=tuple(_messages(ours)),
        upstream=linked(_known_text(store, run, case_id, backend)),
        answers=answers,
        wrong=tuple(_wrong(store, run, case_id, backend)),
        drawings=tuple(geometry.drawings(case)) if case else (),
        words=_shortened(show.describe(case, [str(f) for f in cases.folders])) if case else "",
        yaml=_yaml(case, cases.folders) if case else "",
        absent=_absent(case_id, cases),
        commands=tuple(_commands(store, run, case_id, backend)),
        others=tuple(other for other in known.cases if other != case_id) if known else (),
        count=known.count if known else 0,
    )


def _absent(case_id: str, cases: Cases) -> str:
    """Return why a case cannot be drawn, with the way out; "" where it can."""
    if case_id in cases.by_id:
        return ""
    if case_id == IMPORT:
        return "There is none: the backend could not be imported."
    why = cases.why or "its case file is not here"
    return f"It cannot be drawn here: {why}. The option --cases of `convsuite report` names its files."


def linked(text: str) -> Markup:
    """Return a text whose addresses can be followed; all else in it is text."""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        address = found[0].rstrip(".,;:")
        parts += [escape(text[end : found.start()]), Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(address)]
        end = found.start() + len(address)
    return Markup("").join([*parts, escape(text[end:])])


def _answers(store: Store, run: int, case_id: str, backend: str) -> Iterator[Answer]:
    letters: dict[tuple[str, str], str] = {}
    for r in store.rows(_OUTCOMES, (run, case_id)):
        mark = mark_of(r["status"], r["support"])
        key = r["pass"], r["digest"]
        if r["digest"] and key not in letters:
            letters[key] = chr(ord("A") + sum(pass_ == r["pass"] for pass_, _ in letters) % 26)
        units = r["error_units"]
        yield Answer(
            pass_=r["pass"], backend=r["backend"], mark=mark, words=mark.words,
            message=r["message"] or r["reason"], units="" if units is None else f"{units:.3g}",
            bits=letters.get(key, ""), ours=r["backend"] == backend,
        )  # fmt: skip


def _messages(answers: Sequence[Answer]) -> Iterator[tuple[str, str]]:
    """Yield each sentence once, with the passes that it is said of."""
    together: dict[str, list[str]] = {}
    for answer in answers:
        together.setdefault(answer.message, []).append(answer.pass_)
    yield from ((", ".join(passes), message) for message, passes in together.items())


def _known_text(store: Store, run: int, case_id: str, backend: str) -> str:
    query = "SELECT DISTINCT known FROM outcome WHERE run = ? AND case_id = ? AND backend = ? AND known != ''"
    return " ".join(row[0] for row in store.rows(query, (run, case_id, backend)))


def _wrong(store: Store, run: int, case_id: str, backend: str) -> Iterator[Wrong]:
    for row in store.rows(evidence.OF_CASE, (run, case_id, backend)):
        found = evidence.evidence_in(row)
        yield Wrong(
            pass_=found.pass_,
            shape=" × ".join(map(str, found.shape)) or "a single number",
            told=errormap.told(found),
            maps=tuple(errormap.drawings(found)),
            levels=tuple(errormap.levels(found)),
            backends=tuple(found.elements[0].got) if found.elements else (),
            evidence=found,
        )


def _yaml(case: Case, folders: Sequence[Path]) -> str:
    try:
        return _shortened(casefile.alone(case, folders))
    except ConvsuiteError as error:
        return f"# {error}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… {len(text) - _LONGEST} signs more"


def _commands(store: Store, run: int, case_id: str, backend: str) -> Iterator[tuple[str, str]]:
    """Yield what to type: to run it again as the run did, to see what it means."""
    (row,) = store.rows("SELECT command FROM run WHERE id = ?", (run,))
    options = _options(row["command"])
    folders = [word for key, value in options if key == "--cases" for word in (key, value)]
    others = [word for pair in options if pair[0] != "--cases" for word in pair]
    ids = [] if case_id == IMPORT else [case_id]
    yield "run it again", shlex.join(["convsuite", "check", *ids, "--backend", backend, *folders, *others])
    if ids:
        yield "see what it means", shlex.join(["convsuite", "show", *ids, *folders])


_KEPT = ("--cases", "--device", "--threads", "--timeout", "--known-failures")


def _options(command: str) -> list[tuple[str, str]]:
    """Return the options of a command that may change an outcome, with their values."""
    try:
        words = shlex.split(command)
    except ValueError:  # it was not written by us
        return []
    pairs = [
        (name, value)
        for word, following in zip(words, [*words[1:], ""], strict=True)
        for name, sign, rest in [word.partition("=")]
        for value in [rest if sign else following]
    ]
    return [(name, value) for name, value in pairs if name in _KEPT and value]


def folders_of(command: str) -> tuple[Path, ...]:
    """Return the folders of cases that a command named, where all of them are still there."""
    folders = tuple(Path(value) for name, value in _options(command) if name == "--cases")
    return folders if all(folder.exists() for folder in folders) else ()
