"""From what a call gave to what it means: every meaning that fits all answers, and the rule of the refusals."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from convsuite.meaning.orders import of_rank
from convsuite.meaning.records import Call, Given, Question, Row
from convsuite.meaning.refusals import rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def classify(question: Question, call: Call, backend: str, version: str, given: Sequence[Given]) -> Row:
    """Return the row of one call."""
    answered = [i for i, g in enumerate(given) if g.array is not None]
    misses = {
        meaning.name: [i for i in answered if not fits(given[i], answers[i], question)]
        for meaning, answers in zip(question.meanings, question.answers, strict=True)
    }
    fitting = tuple(name for name, missed in misses.items() if not missed) if answered else ()
    return Row(
        question=question.id,
        backend=backend,
        version=version,
        call=call.text,
        orders=_orders(question, call),
        meanings=fitting,
        asked=len(given),
        answered=len(answered),
        refuses=rule(question.probes, [g.array is None for g in given]),
        words=next((g.refusal for g in given if g.array is None), ""),
        differs=_differs(question, misses, answered) if answered and not fitting else "",
    )


def _orders(question: Question, call: Call) -> str:
    """Say in which orders the call takes its arrays; nothing of one that it does not take, or reads by itself."""
    arrays = question.probes[0].arrays
    orders = {"x": of_rank(call.x or "", arrays["x"].ndim - 2), "w": of_rank(call.w or "", arrays["x"].ndim - 2)}
    named = {node.id for node in ast.walk(ast.parse(call.text)) if isinstance(node, ast.Name)}
    taken = named & set(orders) or set(orders)  # a layer is given both
    return ", ".join(f"{n} {orders[n]}" for n in arrays if orders[n] and n in taken)


def fits(given: Given, answer: NDArray[Any] | None, question: Question) -> bool:
    """Whether an answer is a meaning's, element for element; where the question asks for it, in the same dtype."""
    import numpy as np

    if answer is None or given.array is None or (question.dtype and given.dtype != str(answer.dtype)):
        return False
    if question.within:
        return given.array.shape == answer.shape and np.allclose(
            given.array, answer, rtol=question.within, atol=0.0, equal_nan=True
        )
    return np.array_equal(given.array, answer, equal_nan=given.array.dtype.kind == "f")


def _differs(question: Question, misses: dict[str, list[int]], answered: Sequence[int]) -> str:
    """Say which meaning is the nearest, and where it is not met; none is near that matches no probe."""
    nearest = min(misses, key=lambda name: len(misses[name]))
    missed = misses[nearest]
    if len(missed) == len(answered):
        return f"nor near any; first at {question.probes[missed[0]]}"
    where = rule([question.probes[i] for i in answered], [i in missed for i in answered])
    return f"{nearest}, but not for {where}; first at {question.probes[missed[0]]}"
