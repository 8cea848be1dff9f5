"""Case files to cases: YAML is validated, its shorthand ended and its sweeps written out, or the run is refused whole.

The only room that reads case files. Every message is `file:line:column: the rule, with the numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from convsuite import sources, written
from convsuite.case import LEVELS, Case
from convsuite.errors import CaseFileError, SelectorError
from convsuite.heads import level_of
from convsuite.operations import OPERATIONS
from convsuite.selectors import globs_of, levels_up_to, may_mean, select
from convsuite.wording import did_you_mean
from convsuite.written import MAX_CASES, SWEEP_KEYS, FileInfo, Written
from convsuite.yamlnodes import Node, parse, place, shown

MAX_VALUES = 20_000_000  # of one file, after sweeps: a long literal counts once for each case that it is in
MAX_PROBLEMS = 20  # told at once

BUILTIN = "convsuite_cases"
TOP_KEYS = ("operation", "description", "defaults", "cases")

_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases, in the order in which they are written, and the folders and files that they come from."""

    cases: tuple[Case, ...]
    roots: tuple[str, ...]


def load(paths: Sequence[Path | Traversable], level: str = LEVELS[-1]) -> Suite:
    """Return the cases of files and of folders (all YAML below, by name), up to a level.

    Cases above the level are not even expanded: a listing need not wait for them. Raise CaseFileError, naming each bad
    entry, if anything is wrong in any of them: nothing then runs.
    """
    return _load([(path, str(path)) for path in paths], level)


def builtin(level: str = LEVELS[-1], globs: Sequence[str] = ()) -> Suite:
    """Return the cases that convsuite ships, up to a level; of the files only that a glob may mean, if there are any.

    They lie in a folder for each operation, so that a file's name tells how its ids begin. A file whose cases are all
    of a level above is not even parsed.
    """
    return _load([(files(BUILTIN), BUILTIN)], level, globs, own=True)


def selected(
    folders: Sequence[Path], texts: Sequence[str], level: str, read: str = LEVELS[-1]
) -> tuple[Suite, tuple[Case, ...]]:
    """Return the suite of folders, or the one that convsuite ships, up to level `read`, and what selectors mean of it.

    Of the shipped suite only files are read that a glob may mean; everything, to say what is near or at which level
    it is, where nothing is meant.
    """
    globs = () if folders else globs_of(texts)
    suite = load(folders, read) if folders else builtin(read, globs)
    try:
        return suite, select(suite.cases, texts, level)
    except SelectorError:
        if not globs and read == LEVELS[-1]:
            raise
        return suite, select((load(folders) if folders else builtin()).cases, texts, level)


def alone(case: Case, folders: Sequence[Path]) -> str:
    """Return a case as a case file of its own: its defaults merged, of its sweeps the values that it has.

    `folders` are those that it was read from, none for the cases that convsuite ships. Raise CaseFileError where its
    file is not there, or no longer has it.
    """
    source = _source(case, folders)
    root = parse(source.text(), source.shown)
    file = _file(source, root)
    for node in (root.child("cases") or root).items or ():
        if node.line == case.origin.line:
            fields = _chosen(written.read(file, node, _defaults(file, root)), case.id)
            top = {"operation": case.operation, "cases": [fields]}
            return yaml.safe_dump(top, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    raise CaseFileError(place(source.shown, case.origin.line, 1, f"{case.id} is no longer here"))


def _source(case: Case, folders: Sequence[Path]) -> sources.Source:
    """Return the file that a case was read from."""
    roots: list[tuple[Traversable, str]] = [(path, str(path)) for path in folders] or [(files(BUILTIN), BUILTIN)]
    for root, name in roots:
        for source in sources.find(root, name):
            if source.shown == case.origin.file:
                return source
    raise CaseFileError(f"{case.origin.file}: is not there; {case.id} was read from it")


def _chosen(case: Written, case_id: str) -> dict[str, Any]:
    """Return a case's keys and values, of those that are swept the one that the id says."""
    rest = case_id.split("/", 3)[3] if case.swept or case.paired else ""
    values = {"name": None, **{key: node.value for key, node in case.fields.items()}}  # the name first
    for key, choices in {**case.swept, **case.paired}.items():
        texts = {f"{key}={text}": node.value for node, text in choices}
        said = max((text for text in texts if f"{rest},".startswith(f"{text},")), key=len)
        values[key], rest = texts[said], rest[len(said) + 1 :]
    return values


def _load(roots: Sequence[tuple[Traversable, str]], level: str, globs: Sequence[str] = (), own: bool = False) -> Suite:
    gathered = _Gathered(levels=levels_up_to(level), own=own)
    for root, name in roots:
        with gathered.noting():
            for source in sources.find(root, name):
                if globs and not any(may_mean(glob, source.front) for glob in globs):
                    continue
                with gathered.noting():
                    _read(source, gathered)
    gathered.refuse()
    return Suite(cases=tuple(gathered.cases.values()), roots=tuple(name for _, name in roots))


@dataclass(slots=True)
class _Gathered:
    """What has been read so far: good cases, and what is wrong."""

    levels: tuple[str, ...]  # that are wanted
    own: bool = False  # the files are ours, which our own tests read whole
    cases: dict[str, Case] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # of each id
    problems: dict[str, None] = field(default_factory=dict)  # in order, each once

    @property
    def full(self) -> bool:
        return len(self.problems) > MAX_PROBLEMS

    def skips(self, text: str) -> bool:
        """Whether a file of ours need not be parsed: all of its cases are of a level that is not wanted."""
        return self.own and self.levels != LEVELS and level_of(text) not in (None, *self.levels)

    def note(self, error: CaseFileError) -> None:
        self.problems[str(error)] = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a refusal and go on."""
        try:
            yield
        except CaseFileError as error:
            self.note(error)

    def add(self, case: Case, where: str) -> None:
        if case.id in self.cases:
            self.note(CaseFileError(f"{where}: {case.id} is there twice; the first is at {self.places[case.id]}"))
        self.cases[case.id], self.places[case.id] = case, where

    def refuse(self) -> None:
        """Raise CaseFileError if anything is wrong."""
        if self.problems:
            told = list(self.problems)[:MAX_PROBLEMS]
            raise CaseFileError("\n".join([*told, "and more"] if self.full else told))


def _read(source: sources.Source, gathered: _Gathered) -> None:
    """Read one file's cases; what is wrong is raised, or noted where the rest can still be read."""
    text = source.text()
    if gathered.skips(text):
        return
    root = parse(text, source.shown)
    file = _file(source, root)
    _check_keys(file, root, TOP_KEYS)
    defaults = _defaults(file, root)
    cases = list(_cases(file, root, defaults, gathered))
    _check_bounds(file, root, cases)
    for case in cases:
        if not case.may_be(gathered.levels):
            continue
        where = place(file.name, case.node.line, case.node.column)
        for made in case.expand():
            if isinstance(made, Case):
                gathered.add(made, where)
            else:
                gathered.note(made)
            if gathered.full:
                return


def _file(source: sources.Source, root: Node) -> FileInfo:
    """Return what the top of the file says: which operation."""
    at = (source.shown, root.line, root.column)
    if not _STEM.fullmatch(source.stem):
        rule = "the file's name is part of its cases' ids: it must be letters, digits, _ . and -"
        raise CaseFileError(place(*at, rule))
    if root.fields is None:
        rule = f"a case file is a mapping with `operation` and `cases`, not {shown(root.value)}"
        raise CaseFileError(place(*at, rule))
    known = f"known are {', '.join(OPERATIONS)}"
    node = root.fields.get("operation")
    if node is None:
        raise CaseFileError(place(*at, f"`operation` is missing; {known}"))
    if not isinstance(node.value, str) or node.value not in OPERATIONS:
        hint = did_you_mean(str(node.value), OPERATIONS)
        raise CaseFileError(place(source.shown, node.line, node.column, f"{shown(node.value)} is no operation{hint}"))
    return FileInfo(name=source.shown, stem=source.stem, operation=OPERATIONS[node.value])


def _check_keys(file: FileInfo, node: Node, known: Sequence[str], inside: str = "") -> None:
    """Refuse a mapping's unknown keys, a line for each."""
    unknown = [(key, at) for key, at in (node.keys or {}).items() if key not in known][:MAX_PROBLEMS]
    if unknown:
        lines = (place(file.name, *at, f"unknown key {key}{inside}{_hint(file, key, known)}") for key, at in unknown)
        raise CaseFileError("\n".join(lines))


def _hint(file: FileInfo, key: str, known: Sequence[str]) -> str:
    """Return whose key it is where other operations have it, else what may be meant."""
    others = [name for name, operation in OPERATIONS.items() if key in operation.ENTRY.__struct_encode_fields__]
    if others and file.operation.NAME not in others:
        return f"; it is a key of {', '.join(others)}, not of {file.operation.NAME}"
    return did_you_mean(key, known)


def _defaults(file: FileInfo, root: Node) -> dict[str, Node]:
    node = root.child("defaults")
    if node is None or node.value is None:
        return {}
    if node.fields is None:
        raise file.refusal(node, f"defaults must be a mapping, not {shown(node.value)}")
    for key in ("name", *SWEEP_KEYS):
        if key in node.fields:
            raise file.refusal(node.fields[key], f"{key} is for a case, not for defaults")
    known = [key for key in file.entry_keys if key != "name"] + ["impossible"]
    _check_keys(file, node, known, " in defaults")
    # checked by themselves, so that a wrong default is told once, and even if every case overrides it
    alone = {**node.fields, "name": Node("defaults", node.line, node.column)}
    written.read(file, Node({}, node.line, node.column, fields=alone), {}).entry({})
    return node.fields


def _cases(file: FileInfo, root: Node, defaults: dict[str, Node], gathered: _Gathered) -> Iterator[Written]:
    """Yield the cases as written, where their keys are known; note the others."""
    node = root.child("cases")
    if node is None or not node.items:
        raise file.refusal(node or root, "`cases` must be a list of at least one case")
    known = [*file.entry_keys, *SWEEP_KEYS, "impossible"]
    for item in node.items:
        with gathered.noting():
            if item.fields is None:
                raise file.refusal(item, f"a case is a mapping, not {shown(item.value)}")
            _check_keys(file, item, known)
            if "name" not in item.fields:
                raise file.refusal(item, "the case has no name")
            yield written.read(file, item, defaults)


def _check_bounds(file: FileInfo, root: Node, cases: list[Written]) -> None:
    count = sum(case.least for case in cases)
    if count > MAX_CASES:
        rule = f"the sweeps make {count:,} cases; a file may hold {MAX_CASES:,}: split it, or use `pairwise`"
        raise file.refusal(root, rule)
    values = sum(case.least * case.size for case in cases)
    if values > MAX_VALUES:
        raise file.refusal(
            root, f"the sweeps repeat the values written to {values:,}; a file may come to {MAX_VALUES:,}"
        )
