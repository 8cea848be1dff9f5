"""How large all that a fast algorithm may mix up is; see `convsuite.algorithms`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.case import Norms
from convsuite.formats import FORMATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[Any]

# in smallest normal numbers: below, what underflows in a transform may cost as much as all that is rounded. Winograd's
# scales a weight by 1/36 at least; Fourier's has √N values to each of the input's, and N is 2^20 at most.
LEAST_PEAK, LEAST_ENERGY = 2.0**6, 2.0**10


def norms(seen: Real, weight: Real, dtype: str, rank: int) -> Norms:
    """Return the norms of a convolution of (N, groups, C, positions) with (groups, C_out / groups, C, taps).

    They have the shape (N, C_out, 1, …) with `rank` spatial axes.
    """
    smallest = FORMATS["float64" if dtype == "float64" else "float32"].smallest_normal
    (x_most, _, x_root), (_, w_sum, w_root) = (_of_channels(a, smallest) for a in (seen, weight))
    shape = (seen.shape[0], weight.shape[0] * weight.shape[1], *(1,) * rank)
    return Norms(peak=_combined(x_most, w_sum).reshape(shape), energy=_combined(x_root, w_root).reshape(shape))


def _of_channels(array: Real, smallest: float) -> tuple[Real, Real, Real]:
    """Return max|a|, Σ|a| and ‖a‖₂ over the last axis."""
    import numpy as np

    size = np.where(np.isfinite(array), np.abs(array), 0.0)
    most = size.max(axis=-1, initial=0.0)
    scaled = size / np.where(most == 0, 1.0, most)[..., None]  # no square of it underflows to nothing, or overflows
    root = most * np.sqrt(np.square(scaled, out=scaled).sum(axis=-1))
    total = size.sum(axis=-1)
    return (
        _at_least(smallest * LEAST_PEAK, most),
        _at_least(smallest * LEAST_PEAK, total),
        _at_least(smallest * LEAST_ENERGY, root),
    )


def _at_least(least: float, values: Real) -> Real:
    """Raise what is not 0."""
    import numpy as np

    return np.where(values == 0, 0.0, np.maximum(values, least))


def _combined(of_x: Real, of_w: Real) -> Real:
    """Σ_c x·w of (N, groups, C) and (groups, C_out / groups, C): (N, groups, C_out / groups)."""
    import numpy as np

    with np.errstate(over="ignore"):
        return np.asarray(np.einsum("ngc,goc->ngo", of_x, of_w))
