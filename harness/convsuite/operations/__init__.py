"""The operations: one module each, all with the same contents (see `Operation`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from convsuite.case import Case, Expected, Pass, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.entry import Entry
    from convsuite.errors import CaseError
    from convsuite.operations.axes import Axis, Exclusion
    from convsuite.operations.common import Common


class Operation(Protocol):
    """What a module in this package is: all that is true of one operation, and nothing of any backend."""

    NAME: str
    PASSES: tuple[Pass, ...]
    ENTRY: type[Entry]
    CASE: type[Case]
    COMPARES: bool  # values are compared, not summed: the integers of a fill differ from one another within a plane
    AXES: tuple[Axis, ...]  # what coverage counts
    EXCLUSIONS: tuple[Exclusion, ...]  # and what it does not

    def resolve(self, entry: Any, common: Common) -> Any:
        """Return the case that an entry means; raise CaseError where it means none."""

    def violations(self, case: Any) -> list[CaseError]:
        """Return every rule that a case breaks."""

    def output_shape(self, case: Any) -> tuple[int, ...]:
        """Return the forward pass's shape."""

    def terms(self, case: Any, pass_: Pass) -> int:
        """Return K, the products accumulated into one element of the pass's result."""

    def work(self, case: Any) -> Work:
        """Return the forward pass's FLOPs and bytes."""

    def picture(self, case: Any) -> Case | None:
        """Return a case whose window `show` draws, pads resolved; None where no window slides."""

    def reference(self, case: Any, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
        """Return what a pass must give."""


def _load() -> dict[str, Operation]:
    from convsuite.operations import (
        adaptive_avg_pool,
        adaptive_max_pool,
        avg_pool,
        conv,
        conv_transpose,
        depthwise_conv,
        fold,
        learn_kernel,
        local_conv,
        lp_pool,
        max_pool,
        patches,
        receptive_field,
        separable_conv,
    )

    modules = (
        adaptive_avg_pool,
        adaptive_max_pool,
        avg_pool,
        conv,
        conv_transpose,
        depthwise_conv,
        fold,
        learn_kernel,
        local_conv,
        lp_pool,
        max_pool,
        patches,
        receptive_field,
        separable_conv,
    )
    return {m.NAME: m for m in cast("tuple[Operation, ...]", modules)}


OPERATIONS: dict[str, Operation] = _load()


def of(case: Case) -> Operation:
    """Return the operation of a case."""
    return OPERATIONS[case.operation]
