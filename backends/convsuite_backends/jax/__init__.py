"""JAX: jax.lax and jax.numpy, as their users call them; a file for each family of operations."""

from convsuite_backends.jax.backend import Jax, JaxEager, JaxHighest

__all__ = ["Jax", "JaxEager", "JaxHighest"]
