"""On the far side of a lane: one call, evaluated for each of its probes in the framework's own process."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from convsuite.meaning.dialect import Dialect, dialects
from convsuite.meaning.orders import from_order, to_order
from convsuite.meaning.records import Call, Given, Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = 160  # characters of an exception's text that are kept
# TensorFlow's own names for what was called, and colours
_NODE = re.compile(r"\x1b\[\d*m|\{\{function_node .*?\}\} | ?\[Op:\w+\]( name:\s*)?")
_WHERE = "Exception encountered when calling"  # Keras, before the cause: the layer that the line names


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What one call gave, probe by probe."""

    version: str
    given: tuple[Given, ...]


def evaluate(name: str, call: Call, probes: Sequence[Probe], gradient: bool) -> Evaluated:
    """Evaluate a call of a dialect for some probes."""
    dialect = _opened(name)
    given = tuple(_given(dialect, call, probe, gradient) for probe in probes)
    return Evaluated(version=dialect.version(), given=given)


@cache
def _opened(name: str) -> Dialect:
    dialect = dialects()[name]
    os.environ.update(dialect.environment)
    dialect.names()  # imports the framework
    return dialect


def _given(dialect: Dialect, call: Call, probe: Probe, gradient: bool) -> Given:
    try:
        result = dialect.array(_result(dialect, call, probe, gradient))
    except Exception as error:
        return Given(refusal=words(error))
    return Given(array=_plain(from_order(result, "NCHW", call.y or "")), dtype=str(result.dtype))


def _result(dialect: Dialect, call: Call, probe: Probe, gradient: bool) -> Any:
    native = {name: dialect.tensor(array) for name, array in _ordered(call, probe).items()}
    code = compile(ast.parse(call.text, mode="eval"), "<call>", "eval")
    names = {**dialect.names(), **probe.names}

    def answer(x: Any) -> Any:
        arrays = {**native, "x": x}
        return dialect.applied(eval(code, {**names, **arrays}), arrays)  # a line of our own code

    return dialect.gradient(answer, native["x"]) if gradient else answer(native["x"])


def _ordered(call: Call, probe: Probe) -> Mapping[str, NDArray[Any]]:
    """Return the probe's arrays in the orders that the call takes."""
    arrays = dict(probe.arrays)
    channels = arrays["x"].shape[1]
    arrays["x"] = to_order(arrays["x"], "NCHW", call.x or "")
    if "w" in arrays:
        arrays["w"] = to_order(arrays["w"], probe.weight_order, call.w or "", channels)
    return arrays


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that any process can read."""
    import numpy as np

    return np.ascontiguousarray(array)


def words(error: Exception) -> str:
    """Return an exception's type and the line of its text that says what is wrong."""
    said = [line.strip() for line in _NODE.sub("", str(error)).splitlines()]
    lines = [line for line in said if line and not line.startswith(_WHERE)] or [""]
    line = lines[-1] if lines[0].endswith(":") else lines[0]  # "in user code:" comes before a trace
    line = line.removeprefix(f"{type(error).__name__}: ")
    return f"{type(error).__name__}: {line[:_WORDS]}{'…' if len(line) > _WORDS else ''}"
