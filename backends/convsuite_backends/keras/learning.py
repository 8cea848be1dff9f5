"""Gradient descent on a kernel in Keras: a model of one layer, trained by its own SGD."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from convsuite.backend import Function, Native
from convsuite.case import Case
from convsuite_backends.keras.arguments import data_format
from convsuite_backends.keras.arrays import KerasArrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convsuite.operations.learn_kernel import LearnKernelCase


class Learning(KerasArrays):
    """learn_kernel."""

    def learn_kernel(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Train a model on the one batch, step by step, in the case's dtype, SGD's rate and metrics too."""
        from keras import config

        before = config.floatx(), config.dtype_policy()
        config.set_floatx(case.dtype)
        config.set_dtype_policy(case.dtype)
        try:
            return self._trained(case, x, target, weight)
        finally:
            config.set_floatx(before[0])
            config.set_dtype_policy(before[1])

    def _trained(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Return the loss, a sum over all, and the kernel of each step."""
        import numpy as np
        from keras import ops

        model = self._model(case, x, weight)
        x, target = self._array(x), self._array(target)
        rows = []
        for _ in range(case.steps):
            model.reset_metrics()
            loss = model.train_on_batch(x, target)
            rows.append(np.concatenate([np.reshape(loss, 1), model.get_weights()[0].ravel()]))
        return ops.convert_to_tensor(np.stack(rows).astype(case.dtype))

    def forward(self, case: Case, method: str = "") -> Function:
        """Return the call; a model compiles its own training step, so that nothing is left to compile around it."""
        if case.operation == "learn_kernel":
            return partial(self.learn_kernel, cast("LearnKernelCase", case))
        return super().forward(case, method)

    def _model(self, case: LearnKernelCase, x: Native, weight: Native) -> Any:
        import keras

        layer = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)[case.rank - 1]
        order = data_format(case)
        only = layer(1, case.kernel, data_format=order, use_bias=False, dtype=case.dtype)
        model = keras.Sequential([keras.layers.Input(tuple(x.shape[1:])), only])
        model.set_weights([self._array(weight)])
        model.compile(optimizer=keras.optimizers.SGD(case.learning_rate), loss=_squares)
        return model


def _squares(target: Native, predicted: Native) -> NDArray[np.generic]:
    from keras import ops

    return ops.sum((predicted - target) ** 2)  # type: ignore[no-any-return]
