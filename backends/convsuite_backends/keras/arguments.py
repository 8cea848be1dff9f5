"""A case in Keras's own words, the pads that it has no word for, and a layer that is built once a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite_backends import _layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convsuite.case import Case

WORDS = {"valid": "valid", "same_upper": "same"}


def data_format(case: Case) -> str:
    """Return the layout."""
    return "channels_last" if _layout.channels_last(case) else "channels_first"


def word(case: Case) -> str | None:
    """Return the padding, or None where pads must come first."""
    for kind, said in WORDS.items():
        if _layout.same(case.padding.kinds, kind) and (kind == "valid" or case.padding.mode == "zeros"):
            return said
    return None


def ordered(case: Case, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input of these spatial sizes, as a layer is built for it."""
    n, channels = case.input_shape[:2]
    return (n, *sizes, channels) if _layout.channels_last(case) else (n, channels, *sizes)


def padded_sizes(case: Case) -> list[int]:
    """Return the spatial sizes that are left once pads have come first."""
    return [size + low + high for size, (low, high) in zip(case.input_shape[2:], case.padding.pads, strict=False)]


def around(case: Case, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what keras.ops.pad is told to put around all axes, of pairs for the spatial ones."""
    none = [(0, 0)]
    return [*none, *pairs, *none] if _layout.channels_last(case) else [*none, *none, *pairs]


def kept(case: Case, x: Native) -> Native:
    """Crop where a pad is negative."""
    first = 1 if _layout.channels_last(case) else 2
    return x[(*(slice(None),) * first, *_layout.kept(case))]


class Built:
    """What was made of the last case, its layer above all: calls after the first make nothing."""

    _built: tuple[Any, Any] = (None, None)  # the case, and what was made of it

    def _once(self, case: Case, make: Callable[[], Any]) -> Any:
        """Return what is made of a case, made anew where the last case was another."""
        if self._built[0] is not case:
            self._built = case, make()
        return self._built[1]
