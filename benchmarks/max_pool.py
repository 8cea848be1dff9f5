"""Max pooling: values, where they were found, and the gradient."""

from ._suite import benchmarks as _benchmarks

globals().update(_benchmarks("max_pool", "forward", "indices", "grad_input"))
