"""Gradient descent on a kernel in JAX: jax.value_and_grad, and a step by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends.jax.arrays import JaxArrays
from convsuite_backends.jax.conv import dimension_numbers

if TYPE_CHECKING:
    from convsuite.operations.learn_kernel import LearnKernelCase


class Learning(JaxArrays):
    """learn_kernel."""

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare the composition."""
        loss = "conv_general_dilated, ** 2 and jnp.sum are the loss"
        return Support.composed(f"{loss}, jax.value_and_grad and a subtraction each step: JAX has no optimizer")

    def learn_kernel(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Step by step: the gradient of the loss, then subtract it."""
        import jax
        from jax import numpy as jnp

        numbers = dimension_numbers(case.rank, case.layout == "channels_last")

        def loss(w: Native) -> Native:
            y = jax.lax.conv_general_dilated(x, w, (1,) * case.rank, "VALID", dimension_numbers=numbers)
            return jnp.sum((y - target) ** 2)

        rows = []
        for _ in range(case.steps):
            value, gradient = jax.value_and_grad(loss)(weight)
            weight = weight - case.learning_rate * gradient
            rows.append(jnp.concatenate([value.reshape(1), weight.reshape(-1)]))
        return jnp.stack(rows)
