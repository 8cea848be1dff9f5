"""TensorFlow: tf.nn and tf.image, as its users call them; a file for each family of operations."""

from convsuite_backends.tensorflow.backend import TensorFlow, TensorFlowNoOnednn, TensorFlowXla

__all__ = ["TensorFlow", "TensorFlowNoOnednn", "TensorFlowXla"]
