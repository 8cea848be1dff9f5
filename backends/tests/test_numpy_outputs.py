"""Results that are written where the caller says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import avg_pool, conv, conv_transpose, local_conv, lp_pool, max_pool

RNG = np.random.default_rng(0)
X = RNG.integers(-9, 9, (2, 4, 8, 7)).astype(np.float32)
WINDOW = {"kernel": 3, "stride": 2, "padding": 1}
CALLS = {
    "conv": partial(conv, X, RNG.integers(-9, 9, (6, 2, 3, 3)).astype(np.float32), groups=2, padding=1),
    "pointwise": partial(conv, X, RNG.integers(-9, 9, (6, 4, 1, 1)).astype(np.float32)),
    "conv_transpose": partial(conv_transpose, X, RNG.integers(-9, 9, (4, 3, 3, 3)).astype(np.float32), stride=2),
    "local_conv": partial(local_conv, X, RNG.integers(-9, 9, (3, 4, 3, 3, 6, 5)).astype(np.float32)),
    "max_pool": partial(max_pool, X, **WINDOW),
    "avg_pool": partial(avg_pool, X, **WINDOW),
    "lp_pool": partial(lp_pool, X, power=2, **WINDOW),
}


@pytest.mark.parametrize("name", CALLS)
def test_into_any_strides(name):
    due = CALLS[name]()
    laid = {
        "contiguous": np.full_like(due, np.nan),
        "channels last": np.moveaxis(np.full((*due.shape[:1], *due.shape[2:], due.shape[1]), np.nan, due.dtype), -1, 1),
        "every other": np.full((*due.shape[:-1], 2 * due.shape[-1]), np.nan, due.dtype)[..., ::2],
    }
    for out in laid.values():
        assert CALLS[name](out=out) is out
        assert np.array_equal(out, due)


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_refused(name):
    due = CALLS[name]()
    with pytest.raises(ValueError, match="out must have the result's shape"):
        CALLS[name](out=due[:1])
    with pytest.raises(TypeError, match="out must have x's dtype float32, not float64"):
        CALLS[name](out=due.astype(np.float64))
    same = np.lib.stride_tricks.as_strided(X, due.shape, [min(s, 4) for s in X.strides])
    with pytest.raises(ValueError, match="out must have no memory of an operand"):
        CALLS[name](out=same)


def test_beside_an_operand_in_the_same_memory():
    both = np.zeros((1, 2, 8, 8, 2), np.float32)
    x, out = both[..., 0], both[..., 1]
    x[...] = 1
    assert max_pool(x, kernel=3, stride=1, padding=1, out=out) is out
    assert (both == 1).all()
