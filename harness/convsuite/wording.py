"""Say in plain words what a key takes: the types of the entries, as an error message names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from convsuite import nearest
from convsuite.yamlnodes import shown

if TYPE_CHECKING:
    import msgspec

    from convsuite.yamlnodes import Node

Path = tuple[str | int, ...]


def counted(number: int, noun: str) -> str:
    """Return `1 case`, `2 cases`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def did_you_mean(word: str, among: Iterable[str]) -> str:
    """Return `; did you mean X?`, or the known words where none is near."""
    known = list(among)
    return "; " + nearest.did_you_mean(word.lower(), known, f"known are {', '.join(known)}", most=1)


def explain(error: msgspec.ValidationError, struct: type, node_at: Any) -> tuple[Path, str, str | None]:
    """Return the path that a validation error is about, what is wrong in plain words, and an unknown key's name.

    `node_at(path)` gives the node that a path leads to.
    """
    import msgspec.inspect

    text, _, where = str(error).partition(" - at `$")
    path = _path(where.rstrip("`"))
    due = _along(msgspec.inspect.type_info(struct), path)
    if unknown := re.search(r"unknown field `(.*)`", text):
        key = unknown.group(1)
        known = [f.encode_name for f in _struct(due).fields]
        inside = f" in {dotted(path)}" if path else ""
        return path, f"unknown key {key}{inside}{did_you_mean(key, known)}", key
    if missing := re.search(r"missing required field `(.*)`", text):
        return path, f"{dotted((*path, missing.group(1)))} is missing", None
    node: Node = node_at(path)
    return path, f"{dotted(path)} must be {words(due)}, not {shown(node.value)}", None


def dotted(path: Path) -> str:
    """Return a path as people write it: `kernel.size[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".")


def words(due: Any) -> str:
    """Return what a type takes: "an integer or a list of integers"."""
    import msgspec.inspect as types

    match due:
        case types.UnionType(types=members):
            parts = [words(m) for m in members if not isinstance(m, types.NoneType)]
            return ", ".join(parts[:-1]) + " or " + parts[-1] if len(parts) > 1 else parts[0]
        case types.LiteralType(values=values):
            return "one of " + ", ".join(map(str, sorted(values, key=str)))
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
            return f"a list{_length(due.min_length, due.max_length)} of {_plural(item)}"
        case types.StructType(fields=fields):
            return "a mapping with " + ", ".join(f.encode_name for f in fields)
        case types.IntType(ge=low, le=high):
            return "an integer" + _range(low, high)
        case types.StrType(pattern=pattern) if pattern:
            return "a name of letters, digits, _ . and - that starts with a letter or digit" + (
                f", at most {due.max_length} long" if due.max_length else ""
            )
        case types.BoolType():
            return "true or false"
        case types.FloatType(gt=above):
            return "a number" + ("" if above is None else f" above {above:g}")
        case types.StrType():
            return "text"
    return "anything"


def _plural(due: Any) -> str:
    """Return the same for what a list holds; lists of anything are literals, so numbers or rows of them."""
    import msgspec.inspect as types

    match due:
        case types.IntType():
            return "integers"
        case types.FloatType() | types.AnyType():
            return "numbers"
        case types.StrType():
            return "names"
    return f"which each is {words(due)}"


def _length(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return ""
    return f" (of length {low})" if low == high else f" (at least {low} long)"


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return ""
    return f" from {low} to {high}" if high is not None else f" of at least {low}"


def _path(text: str) -> Path:
    """Read msgspec's path, without its `$`: `.kernel.size[1]`."""
    return tuple(int(index) if index else name for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", text))


def _along(due: Any, path: Path) -> Any:
    """Return the type that a path leads to, entering of a union the member that the step fits."""
    import msgspec.inspect as types

    for step in path:
        members = due.types if isinstance(due, types.UnionType) else (due,)
        if isinstance(step, int):
            due = next(m for m in members if isinstance(m, (types.ListType, types.VarTupleType))).item_type
        else:
            due = next(
                f.type for m in members if isinstance(m, types.StructType) for f in m.fields if f.encode_name == step
            )
        due = due.type if isinstance(due, types.Metadata) else due  # a key's description is put around its type
    return due


def _struct(due: Any) -> Any:
    import msgspec.inspect as types

    members = due.types if isinstance(due, types.UnionType) else (due,)
    return next(m for m in members if isinstance(m, types.StructType))
