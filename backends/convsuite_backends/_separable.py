"""A separable convolution for frameworks that have none: two calls of their own convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Level, Numerics, Pass, Support
from convsuite.operations import separable_conv
from convsuite_backends import _layout
from convsuite_backends._framework import Framework

if TYPE_CHECKING:
    from collections.abc import Callable

    from convsuite.operations.conv import ConvCase
    from convsuite.operations.separable_conv import SeparableCase


class SeparableByTwo(Framework):
    """separable_conv: the depthwise convolution, then the one that mixes, with the bias."""

    def separable_conv_support(self, case: SeparableCase) -> Support:
        """Declare the two calls, and what each of them takes beside."""
        depth, point = self._stage_support(case.depth), self._stage_support(case.point)
        for stage in (depth, point):
            if stage.level is Level.UNSUPPORTED:
                return stage
        steps = ["two convolutions, one after the other", *(s.reason for s in (depth, point) if s.reason)]
        return Support.composed("; ".join(steps))

    def separable_conv_numerics(self, case: SeparableCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare that 16 bits are rounded between the two, beside what rounds within them."""
        if case.dtype not in _layout.HALVES:
            return declared
        if pass_ is Pass.GRAD_BIAS:
            return self._stage_numerics(case.point, pass_, declared)
        stages = [self._stage_numerics(*step, declared) for step in separable_conv.steps(case, pass_)]
        within = [n.intermediate_roundings if n.intermediate else 0 for n in stages]
        note = "; ".join([f"what is between the two is rounded to {case.dtype}", *(n.note for n in stages if n.note)])
        roundings = None if None in within else 1 + sum(n or 0 for n in within)
        return _layout.narrowed(declared, case, roundings, note)

    def separable_conv(
        self, case: SeparableCase, x: Native, depthwise: Native, pointwise: Native, bias: Native = None
    ) -> Native:
        """Call the convolution twice."""
        between = self.conv(case.depth, x, depthwise)  # type: ignore[attr-defined]
        return self.conv(case.point, between, pointwise, bias)  # type: ignore[attr-defined]

    def _stage_support(self, stage: ConvCase) -> Support:
        declare: Callable[[ConvCase], Support] = getattr(self, f"{stage.operation}_support")
        return declare(stage)

    def _stage_numerics(self, stage: ConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        refine: Callable[..., Numerics] = getattr(self, f"{stage.operation}_numerics")
        return refine(stage, pass_, declared)
