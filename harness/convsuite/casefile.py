"""Case files to cases: YAML is validated, its shorthand ended and its sweeps written out, or the run is refused whole.

The only room that knows case files. Every message is `file:line:column: the rule, with the numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from convsuite import sources, sweep, wording
from convsuite.case import Case, Origin
from convsuite.caserules import Broken, broken
from convsuite.errors import CaseError, CaseFileError
from convsuite.operations import OPERATIONS, Operation
from convsuite.operations.common import Common
from convsuite.yamlnodes import Node, parse, place, shown

MAX_CASES = 200_000  # of one file, after sweeps
MAX_VALUES = 20_000_000  # of one file, after sweeps: a long literal counts once for each case that it is in
MAX_ID = 200
MAX_PROBLEMS = 20  # told at once

BUILTIN = "convsuite_cases"
TOP_KEYS = ("operation", "description", "defaults", "cases")
SWEEP_KEYS = ("sweep", "pairwise")
IMPOSSIBLE = ("error", "skip")

_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases, in the order in which they are written, and the folders and files that they come from."""

    cases: tuple[Case, ...]
    roots: tuple[str, ...]


def load(paths: Sequence[Path | Traversable]) -> Suite:
    """Return the cases of files and of folders (all YAML below, by name).

    Raise CaseFileError, naming each bad entry, if anything is wrong in any of them: nothing then runs.
    """
    return _load([(path, str(path)) for path in paths])


def builtin() -> Suite:
    """Return the cases that convsuite ships."""
    return _load([(files(BUILTIN), BUILTIN)])


def _load(roots: Sequence[tuple[Traversable, str]]) -> Suite:
    gathered = _Gathered()
    for root, name in roots:
        with gathered.noting():
            for source in sources.find(root, name):
                with gathered.noting():
                    _File(source, gathered).read()
    gathered.refuse()
    return Suite(cases=tuple(gathered.cases.values()), roots=tuple(name for _, name in roots))


class _Refused(CaseFileError):
    """One combination of a case is refused; `impossible` if only the operation's rules stand against it."""

    def __init__(self, text: str, impossible: bool) -> None:
        super().__init__(text)
        self.impossible = impossible


@dataclass(slots=True)
class _Gathered:
    """What has been read so far: good cases, and what is wrong."""

    cases: dict[str, Case] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # of each id
    problems: dict[str, None] = field(default_factory=dict)  # in order, each once

    @property
    def full(self) -> bool:
        return len(self.problems) > MAX_PROBLEMS

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep a refusal's text and go on."""
        try:
            yield
        except CaseFileError as error:
            self.problems[str(error)] = None

    def add(self, case: Case, where: str) -> None:
        if case.id in self.cases:
            self.problems[f"{where}{case.id} is there twice; the first is at {self.places[case.id].rstrip(': ')}"] = (
                None
            )
        self.cases[case.id], self.places[case.id] = case, where

    def refuse(self) -> None:
        """Raise CaseFileError if anything is wrong."""
        if self.problems:
            raise CaseFileError("\n".join([*list(self.problems)[:MAX_PROBLEMS], *(["and more"] if self.full else [])]))


class _File:
    """One case file, from its top to its list of cases."""

    def __init__(self, source: sources.Source, gathered: _Gathered) -> None:
        self.source, self.name, self.gathered = source, source.shown, gathered

    def read(self) -> None:
        """Read all cases; what is wrong is raised, or noted where the rest can still be read."""
        root = parse(self.source.text(), self.name)
        if not _STEM.fullmatch(self.source.stem):
            raise self.refusal(
                root, "the file's name is part of its cases' ids: only letters, digits, _ . and - will do"
            )
        if root.fields is None:
            raise self.refusal(root, f"a case file is a mapping with `operation` and `cases`, not {shown(root.value)}")
        self.check_keys(root, TOP_KEYS, "")
        self.operation = self.read_operation(root)
        self.keys = msgspec.structs.fields(self.operation.ENTRY)
        defaults = self.read_defaults(root)
        written = list(self.read_cases(root, defaults))
        self.check_bounds(root, written)
        for case in written:
            where = place(self.name, case.node.line, case.node.column, "")
            for made in case.expand():
                if self.gathered.full:
                    return
                self.gathered.add(made, where)

    def refusal(self, node: Node, message: str) -> CaseFileError:
        return CaseFileError(place(self.name, node.line, node.column, message))

    def note(self, at: tuple[int, int], message: str) -> None:
        self.gathered.problems[place(self.name, *at, message)] = None

    def check_keys(self, node: Node, known: Sequence[str], inside: str) -> bool:
        """Note each unknown key of a mapping; True if there is none."""
        unknown = [key for key in node.keys or {} if key not in known]
        for key in unknown:
            self.note((node.keys or {})[key], f"unknown key {key}{inside}{wording.did_you_mean(key, known)}")
        return not unknown

    def read_operation(self, root: Node) -> Operation:
        node = root.child("operation")
        known = ", ".join(OPERATIONS)
        if node is None:
            raise self.refusal(root, f"`operation` is missing; known are {known}")
        if not isinstance(node.value, str) or node.value not in OPERATIONS:
            hint = (
                wording.did_you_mean(node.value, OPERATIONS) if isinstance(node.value, str) else f"; known are {known}"
            )
            raise self.refusal(node, f"{shown(node.value)} is no operation{hint}")
        return OPERATIONS[node.value]

    def read_defaults(self, root: Node) -> dict[str, Node]:
        node = root.child("defaults")
        if node is None or node.value is None:
            return {}
        if node.fields is None:
            raise self.refusal(node, f"defaults must be a mapping, not {shown(node.value)}")
        allowed = [k for k in self.case_keys() if k not in ("name", *SWEEP_KEYS)]
        if self.check_keys(node, allowed, " in defaults"):
            fields = {key: part for key, part in node.fields.items() if key != "impossible"}
            _Written(self, node, {**fields, "name": Node("defaults", node.line, node.column)}).entry({})
        return node.fields

    def case_keys(self) -> list[str]:
        return [f.encode_name for f in self.keys] + [*SWEEP_KEYS, "impossible"]

    def read_cases(self, root: Node, defaults: dict[str, Node]) -> Iterator[_Written]:
        """Yield the cases as written, where their keys are known; note the others."""
        node = root.child("cases")
        if node is None or not node.items:
            raise self.refusal(node or root, "`cases` must be a list of at least one case")
        for item in node.items:
            with self.gathered.noting():
                if item.fields is None:
                    raise self.refusal(item, f"a case is a mapping, not {shown(item.value)}")
                if "name" not in item.fields:
                    raise self.refusal(item, "the case has no name")
                if self.check_keys(item, self.case_keys(), ""):
                    yield _written(self, item, defaults)

    def check_bounds(self, root: Node, written: list[_Written]) -> None:
        cases = sum(w.least for w in written)
        if cases > MAX_CASES:
            raise self.refusal(
                root, f"the sweeps make {cases:,} cases; a file may hold {MAX_CASES:,}: split or use `pairwise`"
            )
        values = sum(w.least * w.size for w in written)
        if values > MAX_VALUES:
            raise self.refusal(
                root, f"the sweeps repeat the values written to {values:,}; a file may come to {MAX_VALUES:,}"
            )


Swept = dict[str, list[tuple[Node, str]]]  # for each swept key its values, and how an id writes them


def _written(file: _File, node: Node, defaults: dict[str, Node]) -> _Written:
    """Read a case's sweeps and merge it over the defaults."""
    fields = {**defaults, **(node.fields or {})}
    swept, paired = (_sweep(file, key, fields.pop(key, None)) for key in SWEEP_KEYS)
    for key in paired:
        if key in swept:
            raise file.refusal(paired[key][0][0], f"{key} is in `sweep` and in `pairwise`: only one can say it")
    if sweep.pair_count([len(v) for v in paired.values()]) > sweep.MAX_PAIRS:
        raise file.refusal(node, f"the pairwise sweep has more than {sweep.MAX_PAIRS:,} pairs: split it")
    choice = fields.pop("impossible", None)
    if choice is not None and choice.value not in IMPOSSIBLE:
        raise file.refusal(choice, f"impossible must be one of {', '.join(IMPOSSIBLE)}, not {shown(choice.value)}")
    return _Written(file, node, fields, swept, paired, choice is not None and choice.value == "skip")


def _sweep(file: _File, name: str, node: Node | None) -> Swept:
    """Return `sweep` or `pairwise`, checked as far as the values themselves are not concerned."""
    if node is None:
        return {}
    if not node.fields:
        raise file.refusal(node, f"{name} must be a mapping of keys to lists of values, not {shown(node.value)}")
    known = [f.encode_name for f in file.keys if f.name != "name"]
    for key, values in node.fields.items():
        if key not in known:
            line, column = (node.keys or {})[key]
            raise CaseFileError(
                place(file.name, line, column, f"unknown key {key} in {name}{wording.did_you_mean(key, known)}")
            )
        if not values.items:
            raise file.refusal(values, f"{name}.{key} must be a list of at least one value, not {shown(values.value)}")
    return {key: [(v, _id_text(file, v)) for v in values.items or ()] for key, values in node.fields.items()}


def _id_text(file: _File, node: Node) -> str:
    try:
        return sweep.value_text(node.value)
    except ValueError:
        raise file.refusal(
            node, f"a swept value is part of an id: {shown(node.value)} has other signs than A-Z a-z 0-9 _ . -"
        ) from None


@dataclass(slots=True)
class _Written:
    """A case as written, merged with the defaults, and its sweeps."""

    file: _File
    node: Node
    fields: dict[str, Node]
    swept: Swept = field(default_factory=dict)
    paired: Swept = field(default_factory=dict)
    skip: bool = False

    @property
    def least(self) -> int:
        """How many cases there will be at least, before impossible ones are dropped."""
        pairs = sorted((len(v) for v in self.paired.values()), reverse=True)[:2]
        return prod(len(v) for v in self.swept.values()) * prod(pairs)

    @property
    def size(self) -> int:
        """How many values one case repeats."""
        return sum(node.size for node in self.fields.values())

    def expand(self) -> Iterator[Case]:
        """Yield the case, or one for each combination, the first key varying slowest."""
        lists = {**self.swept, **self.paired}
        alive: set[tuple[str, int]] = set()
        reasons: dict[tuple[str, int], str] = {}
        for row, made in self.attempts():
            chosen = list(zip(lists, row, strict=True))
            if isinstance(made, Case):
                alive.update(chosen)
                yield made
            elif made.impossible and self.skip:
                for one in chosen:
                    reasons.setdefault(one, str(made))
            else:
                self.file.gathered.problems[str(made)] = None
                alive.update(chosen)
        self.refuse_dead(lists, alive, reasons)

    def refuse_dead(self, lists: Swept, alive: set[tuple[str, int]], reasons: dict[tuple[str, int], str]) -> None:
        """Note each swept value of which `impossible: skip` leaves no case: it would seem tested, and is not."""
        for key, values in lists.items():
            for at, (node, text) in enumerate(values):
                if (key, at) not in alive:
                    why = reasons.get((key, at), "no pair with it is possible").split(": ", 1)[-1]
                    self.file.note((node.line, node.column), f"{key}={text} is impossible in every combination: {why}")

    def attempts(self) -> Iterator[tuple[sweep.Row, Case | _Refused]]:
        """Yield every combination that is asked for, as indices of its values, and what it comes to."""
        firsts = product(*(range(len(v)) for v in self.swept.values()))
        if not self.paired:
            yield from ((row, self.attempt(row)) for row in firsts)
            return
        sizes = [len(v) for v in self.paired.values()]
        rows = None if self.skip else sweep.pairwise(sizes, lambda _: True)
        for first in firsts:
            tried: dict[sweep.Row, Case | _Refused] = {}
            for row in self.possible_rows(first, sizes, tried) if rows is None else rows:
                yield (*first, *row), tried[row] if row in tried else self.attempt((*first, *row))

    def possible_rows(
        self, first: sweep.Row, sizes: list[int], tried: dict[sweep.Row, Case | _Refused]
    ) -> list[sweep.Row]:
        """Return rows for every pair that is possible beside `first`; keep in `tried` what was built on the way."""

        def possible(row: sweep.Row) -> bool:
            if row not in tried:
                if len(tried) >= MAX_CASES:
                    raise self.file.refusal(self.node, f"the pairwise sweep tried {MAX_CASES:,} combinations: split it")
                tried[row] = self.attempt((*first, *row))
            made = tried[row]
            return isinstance(made, Case) or not made.impossible

        return sweep.pairwise(sizes, possible)

    def attempt(self, row: sweep.Row) -> Case | _Refused:
        """Return the case of one combination, or why it is none."""
        lists = {**self.swept, **self.paired}
        picks = {key: values[at] for (key, values), at in zip(lists.items(), row, strict=True)}
        try:
            return self.build(
                {key: node for key, (node, _) in picks.items()}, ",".join(f"{k}={t}" for k, (_, t) in picks.items())
            )
        except _Refused as refused:
            return refused

    def build(self, chosen: dict[str, Node], suffix: str) -> Case:
        """Return the case of the chosen values; raise _Refused where there is none."""
        entry = self.entry(chosen)
        operation = self.file.operation
        id_ = "/".join((operation.NAME, self.file.source.stem, entry.name, *([suffix] if suffix else [])))
        if len(id_) > MAX_ID:
            raise self.refused(Broken((), f"the id has {len(id_)} signs, {MAX_ID} at most: {id_}"), id_, chosen)
        try:
            case = operation.resolve(entry, Common(id=id_, origin=Origin(file=self.file.name, line=self.node.line)))
        except CaseError as error:
            raise self.refused(Broken(error.key, str(error), impossible=True), id_, chosen) from None
        if rule := broken(operation, case):
            raise self.refused(rule, id_, chosen)
        return case

    def entry(self, chosen: dict[str, Node]) -> Any:
        """Return the validated entry; raise _Refused in plain words."""
        nodes = {**self.fields, **chosen}
        values = {key: node.value for key, node in nodes.items()}
        try:
            return msgspec.convert(values, self.file.operation.ENTRY)
        except msgspec.ValidationError as error:
            path, message, unknown = wording.explain(
                error, self.file.operation.ENTRY, lambda path: self.find(path, nodes)
            )
            node = self.find(path, nodes)
            at = (node.keys or {}).get(unknown or "", (node.line, node.column))
            raise _Refused(place(self.file.name, *at, message), impossible=False) from None

    def find(self, path: wording.Path, nodes: dict[str, Node]) -> Node:
        """Return the node that a path means: in the sweep, the case or the defaults; the case where it is not written."""
        return nodes[str(path[0])].at(path[1:]) if path and path[0] in nodes else self.node

    def refused(self, rule: Broken, id_: str, chosen: dict[str, Node]) -> _Refused:
        node = self.find(rule.key, {**self.fields, **chosen})
        if rule.leaf is not None:
            node = node.leaf(rule.leaf)
        return _Refused(
            place(self.file.name, node.line, node.column, f"{id_}: {rule.message}{self.way_out(rule)}"), rule.impossible
        )

    def way_out(self, rule: Broken) -> str:
        if not rule.impossible:
            return ""
        if self.swept or self.paired:
            return "; `impossible: skip` drops such combinations"
        return f"; if backends must refuse it, say `expect: {{error: {rule.key[0]}}}`"
