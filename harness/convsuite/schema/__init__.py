"""The JSON Schema of case files, for completion and checks in editors; made from the same records that validate.

`case-file.schema.json` beside this file is what `schema_text` gives; after a change of the records write it again:
`python -m convsuite.schema > harness/convsuite/schema/case-file.schema.json`. The schema knows each key and its type;
geometry, and what keys must be together, only the loader knows.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import msgspec

from convsuite.operations import OPERATIONS
from convsuite.written import IMPOSSIBLE, SWEEP_KEYS

FILE = "case-file.schema.json"
_SWEEPS = {
    "sweep": "a case for every combination of the values in lists, the first key varying slowest",
    "pairwise": "few cases in which every pair of values of two keys meets",
}


def shipped() -> str:
    """Return the text of the schema that is installed."""
    return files(__name__).joinpath(FILE).read_text(encoding="utf-8")


def schema_text() -> str:
    """Return the schema, made anew from the operations' entries."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12): one kind of `defaults` and of `cases` for each operation."""
    entries = {name: operation.ENTRY for name, operation in OPERATIONS.items()}
    _, parts = msgspec.json.schema_components(list(entries.values()), ref_template="#/$defs/{name}")
    keys = {name: parts.pop(entry.__name__)["properties"] for name, entry in entries.items()}
    for name, operation in OPERATIONS.items():
        keys[name]["passes"]["items"] = {"enum": sorted(operation.PASSES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "convsuite case file",
        "type": "object",
        "properties": {
            "operation": {"enum": list(entries), "description": "what every case of the file computes"},
            "description": {"type": "string", "description": "free text"},
            "defaults": {
                "type": ["object", "null"],
                "description": "keys for every case that does not say otherwise; all but `name` and sweeps",
            },
            "cases": {"type": "array", "description": "at least one case; its id is operation/file/name"},
        },
        "required": ["operation", "cases"],
        "additionalProperties": False,
        "allOf": [_when(name) for name in entries],
        "$defs": {**parts, **{k: v for name, properties in keys.items() for k, v in _kinds(name, properties).items()}},
    }


def _when(name: str) -> dict[str, Any]:
    cases = {"type": "array", "minItems": 1, "items": {"$ref": f"#/$defs/{name}.case"}}
    return {
        "if": {"properties": {"operation": {"const": name}}, "required": ["operation"]},
        "then": {"properties": {"defaults": {"$ref": f"#/$defs/{name}.defaults"}, "cases": cases}},
    }


def _kinds(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return one operation's definitions: its defaults, a case and what may be swept."""
    shared = {key: value for key, value in properties.items() if key != "name"}
    impossible = {
        "enum": list(IMPOSSIBLE),
        "default": "error",
        "description": "what becomes of combinations that are impossible",
    }
    swept = {
        "type": "object",
        "minProperties": 1,
        "properties": {key: {"type": "array", "minItems": 1, "items": _bare(value)} for key, value in shared.items()},
        "additionalProperties": False,
    }
    sweeps = {key: {"$ref": f"#/$defs/{name}.swept", "description": _SWEEPS[key]} for key in SWEEP_KEYS}
    case = {**properties, **sweeps, "impossible": impossible}
    return {
        f"{name}.swept": swept,
        f"{name}.defaults": {
            "type": ["object", "null"],
            "properties": {**shared, "impossible": impossible},
            "additionalProperties": False,
        },
        f"{name}.case": {"type": "object", "properties": case, "required": ["name"], "additionalProperties": False},
    }


def _bare(value: dict[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if key != "default"}
