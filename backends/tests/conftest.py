"""What the framework backends' tests share: cases written as in a case file, and the judge's word on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from convsuite.backend import Backend
from convsuite.case import Origin, Pass
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import OPERATIONS, of
from convsuite.operations.common import Common
from convsuite.run import due_dtype

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is first imported, which TensorFlow may do

Write = Callable[..., Any]
Wrong = Callable[[Backend, Any], dict[str, str]]


@pytest.fixture(scope="session")
def write() -> Write:
    """A function that takes the keys of a case file and returns the case."""

    def write(operation: str = "conv", **keys: Any) -> Any:
        module = OPERATIONS[operation]
        entry = msgspec.convert({"name": "case", **keys}, module.ENTRY)
        return module.resolve(entry, Common(id="case", origin=Origin(file="", line=1)))

    return write


@pytest.fixture(scope="session")
def wrong() -> Wrong:
    """A function that runs all passes of a case and returns what the judge says of those that are not right."""

    def wrong(backend: Backend, case: Any) -> dict[str, str]:
        assert not of(case).violations(case)
        arrays = fill(case)
        native = [backend.to_native(a.copy(), o, case) for a, o in zip(arrays, case.operands, strict=True)]
        count = len(case.operands) - case.wants_gradient
        results = {"output": backend.forward(case)(*native[:count])}
        if Pass.INDICES in case.passes:
            results["indices"] = backend.forward(case, f"{case.operation}_indices")(*native[:count])
        if case.wants_gradient:
            gradients = backend.backward(case)(native[:count], native[count])
            results |= {o.role: g for o, g in zip(case.operands, gradients, strict=False)}
        verdicts = {}
        for pass_ in case.passes:
            result = results[pass_.role]
            backend.synchronize(result)
            answer, dtype = backend.to_numpy(result, pass_.role, case), backend.dtype_name(result, case)
            expected, due = of(case).reference(case, arrays, pass_), due_dtype(case, pass_, dtype)
            verdicts[pass_.value] = judge(answer, dtype, expected, due, backend.numerics(case, pass_))
        return {name: verdict.message for name, verdict in verdicts.items() if not verdict.right}

    return wrong
