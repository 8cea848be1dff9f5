"""Convolution by im2col + GEMM with NumPy alone: a library of two functions, and the backend that wraps it.

    from convsuite_backends.numpy_im2col import conv, conv_gradients

Shares no code with the reference that convsuite judges by, so their agreement says something about both.
"""

from convsuite_backends.numpy_im2col.backend import NumpyIm2col
from convsuite_backends.numpy_im2col.engine import Gradients, conv, conv_gradients

__all__ = ["Gradients", "NumpyIm2col", "conv", "conv_gradients"]
