"""One case as written: merged over the defaults, its sweeps multiplied out, each combination validated and resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, TypeAlias

import msgspec

from convsuite import sweep, wording
from convsuite.case import LEVELS, Case, Origin
from convsuite.caserules import Broken, broken
from convsuite.errors import CaseError, CaseFileError
from convsuite.operations import Operation
from convsuite.operations.common import Common
from convsuite.yamlnodes import Node, place, shown

MAX_CASES = 200_000  # of one file, after sweeps
MAX_TRIES = 2 * MAX_CASES  # of one case's combinations
MAX_ID = 200

SWEEP_KEYS = ("sweep", "pairwise")
IMPOSSIBLE = ("error", "skip")


class RefusedError(CaseFileError):
    """One combination is refused; `rule` is why, without the place; `impossible` if it is the operation's own rule."""

    def __init__(self, text: str, rule: str, impossible: bool) -> None:
        super().__init__(text)
        self.rule, self.impossible = rule, impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a case needs to know of the file that it is in."""

    name: str  # as messages show it
    stem: str
    operation: Operation

    @property
    def entry_keys(self) -> list[str]:
        """The keys of the operation's entry, as the file writes them."""
        return list(self.operation.ENTRY.__struct_encode_fields__)

    def refusal(self, node: Node, message: str) -> CaseFileError:
        """Return the error that a node is refused with."""
        return CaseFileError(place(self.name, node.line, node.column, message))


Swept: TypeAlias = dict[str, list[tuple[Node, str]]]  # for each swept key its values, and how an id writes them


def read(file: FileInfo, node: Node, defaults: dict[str, Node]) -> Written:
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
    return Written(file, node, fields, swept, paired, choice is not None and choice.value == "skip")


def _sweep(file: FileInfo, name: str, node: Node | None) -> Swept:
    """Return `sweep` or `pairwise`, checked as far as the values themselves are not concerned."""
    if node is None:
        return {}
    if not node.fields:
        raise file.refusal(node, f"{name} must be a mapping of keys to lists of values, not {shown(node.value)}")
    known = [key for key in file.entry_keys if key != "name"]
    for key, values in node.fields.items():
        if key not in known:
            message = f"unknown key {key} in {name}{wording.did_you_mean(key, known)}"
            raise CaseFileError(place(file.name, *(node.keys or {})[key], message))
        if not values.items:
            raise file.refusal(values, f"{name}.{key} must be a list of at least one value, not {shown(values.value)}")
    return {key: [(v, _id_text(file, v)) for v in values.items or ()] for key, values in node.fields.items()}


def _id_text(file: FileInfo, node: Node) -> str:
    try:
        return sweep.value_text(node.value)
    except ValueError:
        message = f"a swept value is part of an id: {shown(node.value)} has other signs than A-Z a-z 0-9 _ . -"
        raise file.refusal(node, message) from None


@dataclass(slots=True)
class Written:
    """A case as written, merged with the defaults, and its sweeps."""

    file: FileInfo
    node: Node
    fields: dict[str, Node]
    swept: Swept = field(default_factory=dict)
    paired: Swept = field(default_factory=dict)
    skip: bool = False
    tries: int = 0

    @property
    def least(self) -> int:
        """How many cases there will be at least, before impossible ones are dropped."""
        pairs = sorted((len(v) for v in self.paired.values()), reverse=True)[:2]
        return prod(len(v) for v in self.swept.values()) * prod(pairs)

    @property
    def size(self) -> int:
        """How many values one case repeats."""
        return sum(node.size for node in self.fields.values())

    def may_be(self, levels: Sequence[str]) -> bool:
        """Return whether the case may have one of some levels; where a level is swept, or no level, it may."""
        node = self.fields.get("level")
        return node is None or node.value in levels or node.value not in LEVELS

    def expand(self) -> Iterator[Case | CaseFileError]:
        """Yield the case, or one for each combination, the first key varying slowest; or what is wrong in its place."""
        lists = {**self.swept, **self.paired}
        alive: set[tuple[str, int]] = set()
        reasons: dict[tuple[str, int], str] = {}
        for row, made in self.attempts():
            chosen = list(zip(lists, row, strict=True))
            if isinstance(made, Case):
                alive.update(chosen)
                yield made
            elif made.impossible and self.skip and lists:
                for one in chosen:
                    reasons.setdefault(one, made.rule)
            else:
                yield made
                alive.update(chosen)
        yield from self.dead(lists, alive, reasons)

    def dead(
        self, lists: Swept, alive: set[tuple[str, int]], reasons: dict[tuple[str, int], str]
    ) -> Iterator[CaseFileError]:
        """Yield a refusal for each swept value of which `impossible: skip` leaves no case: it would seem tested."""
        for key, values in lists.items():
            for at, (node, text) in enumerate(values):
                if (key, at) not in alive:
                    why = reasons.get((key, at), "no pair with it is possible")
                    yield self.file.refusal(node, f"{key}={text} is impossible in every combination: {why}")

    def attempts(self) -> Iterator[tuple[sweep.Row, Case | RefusedError]]:
        """Yield every combination that is asked for, as indices of its values, and what it comes to."""
        firsts = product(*(range(len(v)) for v in self.swept.values()))
        if not self.paired:
            yield from ((row, self.attempt(row)) for row in firsts)
            return
        sizes = [len(v) for v in self.paired.values()]
        rows = None if self.skip else sweep.pairwise(sizes, lambda _: True)
        for first in firsts:
            tried: dict[sweep.Row, Case | RefusedError] = {}
            for row in self.possible_rows(first, sizes, tried) if rows is None else rows:
                yield (*first, *row), tried[row] if row in tried else self.attempt((*first, *row))

    def possible_rows(
        self, first: sweep.Row, sizes: list[int], tried: dict[sweep.Row, Case | RefusedError]
    ) -> list[sweep.Row]:
        """Return rows for every pair that is possible beside `first`; keep in `tried` what was built on the way."""

        def possible(row: sweep.Row) -> bool:
            if row not in tried:
                tried[row] = self.attempt((*first, *row))
            made = tried[row]
            return isinstance(made, Case) or not made.impossible

        return sweep.pairwise(sizes, possible)

    def attempt(self, row: sweep.Row) -> Case | RefusedError:
        """Return the case of one combination, or why it is none."""
        lists = {**self.swept, **self.paired}
        picks = {key: values[at] for (key, values), at in zip(lists.items(), row, strict=True)}
        suffix = ",".join(f"{key}={text}" for key, (_, text) in picks.items())
        self.tries += 1
        if self.tries > MAX_TRIES:
            raise self.file.refusal(self.node, f"the pairwise sweep tried {MAX_TRIES:,} combinations: split it")
        try:
            return self.build({key: node for key, (node, _) in picks.items()}, suffix)
        except RefusedError as refused:
            return refused

    def build(self, chosen: dict[str, Node], suffix: str) -> Case:
        """Return the case of the chosen values; raise RefusedError where there is none."""
        entry = self.entry(chosen)
        operation: Operation = self.file.operation
        id_ = "/".join((operation.NAME, self.file.stem, entry.name, *([suffix] if suffix else [])))
        if len(id_) > MAX_ID:
            raise self.refused(Broken((), f"the id has {len(id_)} signs; at most {MAX_ID}"), id_, chosen, "")
        try:
            case: Case = operation.resolve(
                entry, Common(id=id_, origin=Origin(file=self.file.name, line=self.node.line))
            )
        except CaseError as error:
            unclear = Broken(error.key, str(error), impossible=True)
            raise self.refused(unclear, id_, chosen, "") from None
        if rule := broken(operation, case):
            say = f"; if backends must refuse it, say `expect: {{error: {rule.key[0]}}}`" if rule.refusable else ""
            raise self.refused(rule, id_, chosen, say)
        return case

    def entry(self, chosen: dict[str, Node]) -> Any:
        """Return the validated entry; raise RefusedError in plain words."""
        nodes = {**self.fields, **chosen}
        values = {key: node.value for key, node in nodes.items()}
        try:
            return msgspec.convert(values, self.file.operation.ENTRY)
        except msgspec.ValidationError as error:
            entry = self.file.operation.ENTRY
            path, message, unknown = wording.explain(error, entry, lambda path: self.find(path, nodes))
            node = self.find(path, nodes)
            at = (node.keys or {}).get(unknown or "", (node.line, node.column))
            raise RefusedError(place(self.file.name, *at, message), message, impossible=False) from None

    def find(self, path: wording.Path, nodes: dict[str, Node]) -> Node:
        """Return the node of a path, in the sweep, the case or the defaults; the case where it is not written."""
        return nodes[str(path[0])].at(path[1:]) if path and path[0] in nodes else self.node

    def refused(self, rule: Broken, id_: str, chosen: dict[str, Node], otherwise: str) -> RefusedError:
        """Return the error for a broken rule: at its key's place, with the case's id and a way out.

        `otherwise` is the way out of an impossible case that is not swept.
        """
        node = self.find(rule.key, {**self.fields, **chosen})
        if rule.leaf is not None:
            node = node.leaf(rule.leaf)
        way_out = ("; `impossible: skip` drops such combinations" if chosen else otherwise) if rule.impossible else ""
        text = place(self.file.name, node.line, node.column, f"{id_}: {rule.message}{way_out}")
        return RefusedError(text, rule.message, rule.impossible)
