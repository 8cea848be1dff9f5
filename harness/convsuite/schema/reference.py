"""The reference of case files: every key of each operation, as Markdown, made from the JSON Schema."""

from __future__ import annotations

import json
import re
from typing import Any

from convsuite.operations import OPERATIONS
from convsuite.schema import schema

Node = dict[str, Any]  # one place of the schema

_REQUIRED = " (required)"  # by the loader, where the schema cannot say it: `defaults` may have the key
_KINDS = {"boolean": "`true`, `false`", "integer": "integer", "number": "number", "object": "mapping", "string": "text"}
_HEAD = ("| key | is | takes | unless given |", "|---|---|---|---|")


def reference(made: Node | None = None) -> str:
    """Return the page's sections, of the schema unless another is given; raise ValueError for a key without meaning."""
    made = made or schema()
    parts: Node = made["$defs"]
    cases = {name: parts[f"{name}.case"] for name in OPERATIONS}
    common = _common([case["properties"] for case in cases.values()])
    sections = [
        *_section("The file", "What stands at the top.", made),
        *_section("Every operation", "Keys of every case, whatever it computes.", _only(cases["conv"], common)),
    ]
    for name, case in cases.items():
        about, own = _first_line(OPERATIONS[name].__doc__), [key for key in case["properties"] if key not in common]
        sections += _section(
            f"`{name}`", f"{about}\n\nBeside those of [every operation](#every-operation):", _only(case, own)
        )
    for name, part in parts.items():
        if "." not in name:
            sections += _section(_title(name), _first_line(part["description"]), part)
    return "\n".join(sections)


def _section(title: str, about: str, record: Node) -> list[str]:
    required = record.get("required", ())
    rows = [_row(title, key, node, key in required) for key, node in record["properties"].items()]
    return [f"## {title}", "", about, "", *_HEAD, *rows, ""]


def _row(title: str, key: str, node: Node, required: bool) -> str:
    meaning = node.get("description", "")
    if not meaning:
        raise ValueError(f"{title}: the key {key} has no description; give it one in its entry, with `says`")
    required = required or meaning.endswith(_REQUIRED)
    unless_given = "(required)" if required else _default(node)
    cells = (f"`{key}`", meaning.removesuffix(_REQUIRED), _takes(node), unless_given)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _default(node: Node) -> str:
    value = node.get("default")
    if value is None or value in ("", (), []) or isinstance(value, dict):  # a mapping of nothing
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _takes(node: Node) -> str:
    """Return in words what is taken: types, bounds, and all words where only some are."""
    if "$ref" in node:
        return _mapping(node["$ref"].removeprefix("#/$defs/"))
    if "anyOf" in node:
        return " or ".join(_takes(kind) for kind in node["anyOf"] if kind.get("type") != "null")
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    kinds = [node["type"]] if isinstance(node["type"], str) else node["type"]
    return " or ".join(
        _list(node) if kind == "array" else _KINDS[kind] + _bounds(node) for kind in kinds if kind != "null"
    )


def _list(node: Node) -> str:
    items = node.get("items")
    if not items:
        return "list"
    exactly = f" {node['minItems']}" if "minItems" in node and node["minItems"] == node.get("maxItems") else ""
    each = _takes(items)
    return f"list of{exactly} {f'({each})' if 'anyOf' in items else each + 's' * (each in _KINDS.values())}"


def _bounds(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if "exclusiveMinimum" in node:
        return f" above {node['exclusiveMinimum']}"
    return f" from {low}" if low is not None else ""


def _mapping(name: str) -> str:
    """Return a link to the section that has the keys."""
    if name.endswith(".swept"):
        return "mapping of keys to lists"
    if name.endswith(".case"):
        return "mapping"
    title = _title(name)
    return f"[mapping: {title.lower()}](#{title.lower().replace(' ', '-')})"


def _title(name: str) -> str:
    """Return how a record is called: `LocalKernelEntry` is "Local kernel"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Entry")).capitalize()


def _common(all_keys: list[Node]) -> list[str]:
    """Return the keys that mean the same in every operation; a sweep does, of what there is to sweep."""
    first, *others = all_keys
    same = {key for key, node in first.items() if all(_told(keys.get(key)) == _told(node) for keys in others)}
    return [key for key in first if key in same]


def _told(node: Node | None) -> Node | None:
    return node and {key: value for key, value in node.items() if key != "$ref" or not value.endswith(".swept")}


def _only(record: Node, keys: list[str]) -> Node:
    properties: Node = record["properties"]
    return {"properties": {key: properties[key] for key in keys}, "required": record.get("required", ())}


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]
