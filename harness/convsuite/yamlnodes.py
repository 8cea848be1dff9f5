"""Untrusted YAML to plain values that know their line and column.

Scalars follow the core schema of YAML 1.2: only `true` and `false` are booleans (`no` is a word), `1e-3` is a number,
`.nan` and `.inf` are floats. Tags run no code, for there are none: any tag is refused. Nesting and size, aliases
expanded, are bounded while reading, so that no file can fill the memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from convsuite.errors import CaseFileError

MAX_DEPTH = 64
MAX_NODES = 1_000_000  # after alias expansion
MAX_DIGITS = 400  # of an integer; the largest float64 has 309

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMERIC = frozenset("0123456789+-.")


@dataclass(slots=True, eq=False)
class Node:
    """A value, where it was written (from 1), and its parts."""

    value: Any  # plain: dict, list, str, int, float, bool or None; shared, so not to be changed
    line: int
    column: int
    size: int = 1  # nodes in it, itself and expanded aliases included
    items: list[Node] | None = None  # of a sequence
    fields: dict[str, Node] | None = None  # of a mapping
    keys: dict[str, tuple[int, int]] | None = None  # of a mapping: where each key stands

    def child(self, step: str | int) -> Node | None:
        """Return the part under a key or an index, None where there is none."""
        if isinstance(step, str):
            return (self.fields or {}).get(step)
        return self.items[step] if self.items and step < len(self.items) else None

    def at(self, path: tuple[str | int, ...]) -> Node:
        """Return the part that a path leads to, or the last one on the way."""
        node = self
        for step in path:
            part = node.child(step)
            if part is None:
                break
            node = part
        return node

    def leaf(self, index: int) -> Node:
        """Return the scalar that comes `index`-th (from 0) when nested sequences are read in order."""
        todo = [self]
        while todo:
            node = todo.pop()
            if node.items is not None:
                todo.extend(reversed(node.items))
            elif index == 0:
                return node
            else:
                index -= 1
        return self


def place(file: str, line: int, column: int, message: str = "") -> str:
    """Return an error's line: `file:line:column: message`, as editors and terminals link it; without one, the place."""
    where = f"{file}:{line}:{column}"
    return f"{where}: {message}" if message else where


def shown(value: Any) -> str:
    """Return a value as the file would write it, shortened."""
    if isinstance(value, float) and value - value != 0:
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(value)]
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def parse(text: str, file: str) -> Node:
    """Return the one document of a text. Raise CaseFileError, with the place, for whatever is not allowed."""
    if odd := _UNPRINTABLE.search(text):
        before = text[: odd.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise CaseFileError(place(file, line, column, f"the character U+{ord(odd.group()):04X} is not allowed in YAML"))
    try:
        return _Reader(text, file).document()
    except yaml.MarkedYAMLError as error:
        raise CaseFileError(_not_yaml(error, text, file)) from None


def scalar(text: str) -> Any:
    """Return what a plain (unquoted) scalar means by the core schema of YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text


class _Reader:
    """Builds nodes straight from the parser's events: PyYAML's own composer recurses without bounds."""

    def __init__(self, text: str, file: str) -> None:
        self.events = _BASE(text)
        self.file = file
        self.count = 0
        self.anchors: dict[str, Node | None] = {}  # None while still open

    def document(self) -> Node:
        self.events.get_event()  # the stream's start
        start = self.events.get_event()
        if isinstance(start, yaml.StreamEndEvent):
            raise self.refuse(None, "the file is empty: a case file has `operation` and `cases`")
        node = self.node(self.events.get_event(), 1)
        self.events.get_event()  # the document's end
        after = self.events.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.refuse(after, "a second YAML document starts here; a case file holds one, so split the file")
        return node

    def refuse(self, event: Any, message: str) -> CaseFileError:
        line, column = (event.start_mark.line, event.start_mark.column) if event else (0, 0)
        return CaseFileError(place(self.file, line + 1, column + 1, message))

    def node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self.refuse(event, f"the tag {tag} is refused: case files hold plain values, and run no code")
        self.spend(1, event)
        if depth > MAX_DEPTH:
            raise self.refuse(event, f"nested more than {MAX_DEPTH} deep")
        if event.anchor:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, depth)
        else:
            node = self.mapping(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            raise self.refuse(event, f"the alias *{event.anchor} stands for no anchor &{event.anchor} before it")
        node = self.anchors[event.anchor]
        if node is None:
            raise self.refuse(event, f"the alias *{event.anchor} stands inside its own anchor: it would never end")
        self.spend(node.size, event)
        return node

    def spend(self, nodes: int, event: Any) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise self.refuse(event, f"more than {MAX_NODES:,} values, aliases expanded; split the file")

    def scalar(self, event: Any) -> Node:
        mark, text = event.start_mark, event.value
        if not event.implicit[0]:
            return Node(text, mark.line + 1, mark.column + 1)
        if len(text) > MAX_DIGITS and _INTEGER.fullmatch(text):
            raise self.refuse(event, f"an integer of {len(text)} digits; at most {MAX_DIGITS} are read")
        return Node(scalar(text), mark.line + 1, mark.column + 1)

    def sequence(self, event: Any, depth: int) -> Node:
        mark, before, items = event.start_mark, self.count, []
        next_event = self.events.get_event
        while not isinstance(part := next_event(), yaml.SequenceEndEvent):
            items.append(self.node(part, depth + 1))
        values = [item.value for item in items]
        return Node(values, mark.line + 1, mark.column + 1, self.count - before + 1, items=items)

    def mapping(self, event: Any, depth: int) -> Node:
        mark, before = event.start_mark, self.count
        fields: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        while not isinstance(part := self.events.get_event(), yaml.MappingEndEvent):
            key = self.node(part, depth + 1)
            name = self.key(key, part)
            if name in fields:
                raise self.refuse(part, f"{name} is given twice; the first is on line {keys[name][0]}")
            keys[name] = (key.line, key.column)
            fields[name] = self.node(self.events.get_event(), depth + 1)
        values = {name: node.value for name, node in fields.items()}
        return Node(values, mark.line + 1, mark.column + 1, self.count - before + 1, fields=fields, keys=keys)

    def key(self, node: Node, event: Any) -> str:
        if isinstance(node.value, str) and node.value != "<<":
            return node.value
        if node.value == "<<":
            raise self.refuse(event, "merge keys (<<) are not of YAML 1.2: put what cases share into `defaults`")
        raise self.refuse(event, f"a key must be a word, not {shown(node.value)}")


def _not_yaml(error: yaml.MarkedYAMLError, text: str, file: str) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return place(file, 1, 1, f"not YAML: {error.problem or error}")
    lines = text.splitlines()
    if mark.line >= len(lines):  # the parser stands after the last line
        return place(file, len(lines), len(lines[-1]) + 1, f"not YAML: the file ends {error.context or 'too early'}")
    written = lines[mark.line]
    indent = re.match(r"\s*(-\s+)*", written)
    if indent and "\t" in (found := indent.group()):
        return place(file, mark.line + 1, found.index("\t") + 1, "a tab stands where YAML wants spaces")
    context = f" {error.context}" if error.context else ""
    return place(file, mark.line + 1, mark.column + 1, f"not YAML: {error.problem}{context}")
