"""The convolution family by NumPy alone: a library of functions, and the backend that wraps them.

    from convsuite_backends.numpy_im2col import conv, conv_gradients

Shares no code with the reference that convsuite judges by, so their agreement says something about both.
"""

from convsuite_backends.numpy_im2col.adaptive import (
    adaptive_avg_pool,
    adaptive_avg_pool_gradient,
    adaptive_max_pool,
    adaptive_max_pool_gradient,
    adaptive_max_pool_indices,
)
from convsuite_backends.numpy_im2col.backend import NumpyIm2col
from convsuite_backends.numpy_im2col.engine import Gradients, conv, conv_grad_input, conv_grad_weight, conv_gradients
from convsuite_backends.numpy_im2col.local import local_conv, local_conv_gradients
from convsuite_backends.numpy_im2col.patches import fold, patches
from convsuite_backends.numpy_im2col.pooling import (
    avg_pool,
    avg_pool_gradient,
    lp_pool,
    lp_pool_gradient,
    max_pool,
    max_pool_gradient,
    max_pool_indices,
)
from convsuite_backends.numpy_im2col.prepared import Prepared, prepare
from convsuite_backends.numpy_im2col.separable import SeparableGradients, separable_conv, separable_conv_gradients
from convsuite_backends.numpy_im2col.transposed import (
    conv_transpose,
    conv_transpose_grad_input,
    conv_transpose_grad_weight,
    conv_transpose_gradients,
)
from convsuite_backends.numpy_im2col.variants import NumpyIm2colFft, NumpyIm2colWinograd

__all__ = [
    "Gradients",
    "NumpyIm2col",
    "NumpyIm2colFft",
    "NumpyIm2colWinograd",
    "Prepared",
    "SeparableGradients",
    "adaptive_avg_pool",
    "adaptive_avg_pool_gradient",
    "adaptive_max_pool",
    "adaptive_max_pool_gradient",
    "adaptive_max_pool_indices",
    "avg_pool",
    "avg_pool_gradient",
    "conv",
    "conv_grad_input",
    "conv_grad_weight",
    "conv_gradients",
    "conv_transpose",
    "conv_transpose_grad_input",
    "conv_transpose_grad_weight",
    "conv_transpose_gradients",
    "fold",
    "local_conv",
    "local_conv_gradients",
    "lp_pool",
    "lp_pool_gradient",
    "max_pool",
    "max_pool_gradient",
    "max_pool_indices",
    "patches",
    "prepare",
    "separable_conv",
    "separable_conv_gradients",
]
