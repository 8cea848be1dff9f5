"""Average pooling: values, and the gradient."""

from ._suite import benchmarks as _benchmarks

globals().update(_benchmarks("avg_pool", "forward", "grad_input"))
