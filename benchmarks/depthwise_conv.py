"""Depthwise convolution: the forward pass, and the gradients to input, weight and bias."""

from ._suite import benchmarks as _benchmarks

globals().update(_benchmarks("depthwise_conv", "forward", "grad_input", "grad_weight", "grad_bias"))
