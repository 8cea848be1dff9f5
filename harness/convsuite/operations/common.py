"""What is the same in every operation's resolving: literals, rank, the keys that all cases share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsuite.case import INTEGERS, Case, Expect, Literal, Origin, Pass
from convsuite.entry import Entry
from convsuite.errors import CaseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What `casefile` knows of a case beside its entry."""

    id: str
    origin: Origin

    def shared(self, entry: Entry, rank: int) -> dict[str, Any]:
        """Return the keyword arguments that every Case takes straight from its entry."""
        values = entry.expect.values
        return {
            "dtype": entry.dtype,
            "fill": entry.fill,
            "seed": entry.seed,
            "layout": entry.layout,
            "passes": tuple(sorted((Pass(p) for p in set(entry.passes)), key=list(Pass).index)),
            "expect": Expect(
                values=literal(values, rank, ("expect", "values")) if values is not None else None,
                shape=tuple(entry.expect.shape) if entry.expect.shape is not None else None,
                error=entry.expect.error,
            ),
            "source": entry.source,
            "tags": tuple(entry.tags),
            "level": entry.level,
            "repeats": entry.repeats,
            "origin": self.origin,
        }


def gradient_rules(case: Case) -> list[CaseError]:
    """Return the rule that a case breaks if it asks for gradients of integers."""
    if case.dtype in INTEGERS and case.wants_gradient:
        return [CaseError(("passes",), f"{case.dtype} has no gradients")]
    return []


def bias_rules(case: Case, bias: bool) -> list[CaseError]:
    """Return the rule that a case breaks if it asks for the gradient of a bias that it does not have."""
    if Pass.GRAD_BIAS in case.passes and not bias:
        return [CaseError(("passes",), "grad_bias needs `bias: true`")]
    return []


def fraction_rules(case: Case, what: str) -> list[CaseError]:
    """Return the rule that a case of integers breaks where the result, `what`, is a fraction."""
    if case.dtype in INTEGERS:
        return [CaseError(("dtype",), f"{what} is a fraction, which {case.dtype} does not hold")]
    return []


def literal(values: list[Any], rank: int, key: tuple[str, ...]) -> Literal:
    """Return nested lists as a literal of rank + 2 axes; missing leading axes are 1."""
    shape = _shape(values)
    if not rank <= len(shape) <= rank + 2:
        raise CaseError(key, f"values are nested {len(shape)} deep; rank {rank} takes {rank}, {rank + 1} or {rank + 2}")
    flat: list[float] = []
    _flatten(values, shape, key, flat)
    return Literal(shape=(1,) * (rank + 2 - len(shape)) + shape, values=tuple(flat))


def rank_of(rank: int | None, size: int | list[int] | None, values: list[Any] | None, key: str) -> int:
    """Return the number of spatial axes: as said, else as `size` lists, else the depth of `values` up to 2, else 2."""
    if rank is not None:
        return rank
    if isinstance(size, list):
        if not 1 <= len(size) <= 3:
            raise CaseError((key,), f"{key} has {len(size)} spatial axes; 1, 2 or 3 are known")
        return len(size)
    return min(2, len(_shape(values))) if values is not None else 2


def _shape(values: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(values, list):
        shape.append(len(values))
        values = values[0] if values else None
    return tuple(shape)


def _flatten(values: Any, shape: tuple[int, ...], key: tuple[str, ...], into: list[float]) -> None:
    if not shape:
        if isinstance(values, bool) or not isinstance(values, (int, float)):
            raise CaseError(key, f"values must be numbers, not {values!r}")
        into.append(values)
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        length = len(values) if isinstance(values, list) else "a number"
        raise CaseError(key, f"values are ragged: a row of {shape[0]} was due, not {length}")
    for value in values:
        _flatten(value, shape[1:], key, into)
