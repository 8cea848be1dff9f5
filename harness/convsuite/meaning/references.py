"""Canonical answers: what the reference of an operation gives for a probe, asked for as a case file would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from convsuite.case import Case, Origin, Pass
from convsuite.meaning.records import Meaning, Probe, Value
from convsuite.operands import fill
from convsuite.operations import OPERATIONS
from convsuite.operations.common import Common

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]


def case_of(operation: str, **keys: Any) -> Case:
    """Return the case that the keys of a case file mean."""
    module = OPERATIONS[operation]
    entry = msgspec.convert({"name": "probe", **keys}, module.ENTRY)
    case: Case = module.resolve(entry, Common(id="probe", origin=Origin(file="", line=0)))
    return case


def probe(
    operation: str, names: dict[str, Value], change: Callable[[Array], Array] | None = None, **keys: Any
) -> Probe:
    """Return a probe with filled operands; `names` are what a line may use beside x and w, `change` is made to x."""
    case = case_of(operation, **keys)
    roles = {"input": "x", "weight": "w"}
    arrays = {roles[o.role]: a for o, a in zip(case.operands, fill(case), strict=True) if o.role in roles}
    if change is not None:
        arrays["x"] = change(arrays["x"])
    return Probe(operation=operation, keys=keys, names=names, arrays=arrays)


def value(asked: Probe, **keys: Any) -> Array | None:
    """Return what the reference gives for a probe, with some keys more; None where that is no valid case."""
    return answer(asked, asked.arrays, **keys)


def answer(asked: Probe, arrays: Mapping[str, Array], pass_: Pass = Pass.FORWARD, **keys: Any) -> Array | None:
    """Return the same for other arrays in the place of the probe's own, or of another pass."""
    case = case_of(asked.operation, **{**asked.keys, **keys})
    module = OPERATIONS[asked.operation]
    if module.violations(case):
        return None
    return module.reference(case, tuple(arrays.values()), pass_).value


def gradient(asked: Probe, **keys: Any) -> Array | None:
    """Return the gradient of the sum of the output to x."""
    import numpy as np

    case = case_of(asked.operation, **{**asked.keys, **keys})
    module = OPERATIONS[asked.operation]
    if module.violations(case):
        return None
    case = case_of(asked.operation, **{**asked.keys, **keys, "passes": ["grad_input"]})
    ones = np.ones(module.output_shape(case))
    return module.reference(case, (*asked.arrays.values(), ones), Pass.GRAD_INPUT).value


def meaning(name: str, text: str, **keys: Any) -> Meaning:
    """Return the meaning that adds some keys to the probe's case, e.g. `padding="same_upper"`."""
    return Meaning(name, text, lambda asked: value(asked, **keys))
