"""Keras 3: keras.ops and Keras layers, on each of its backends; a file for each family of operations.

A variant is Keras over one of our other backends, from which it takes arrays, autodiff and waiting; the call is
Keras's own.
"""

from convsuite_backends.keras.backend import (
    KerasJax,
    KerasJaxLayer,
    KerasTensorFlow,
    KerasTensorFlowLayer,
    KerasTorch,
    KerasTorchLayer,
)

__all__ = [
    "KerasJax",
    "KerasJaxLayer",
    "KerasTensorFlow",
    "KerasTensorFlowLayer",
    "KerasTorch",
    "KerasTorchLayer",
]
