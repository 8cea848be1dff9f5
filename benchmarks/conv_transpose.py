"""Transposed convolution: the forward pass, and the gradients to input, weight and bias."""

from ._suite import benchmarks as _benchmarks

globals().update(_benchmarks("conv_transpose", "forward", "grad_input", "grad_weight", "grad_bias"))
