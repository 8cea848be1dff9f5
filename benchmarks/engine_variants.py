"""Print what the NumPy engine's fast variants take, as a share of the plain engine: the tables of docs/engine.md.

    OMP_NUM_THREADS=1 python benchmarks/engine_variants.py

Calls take turns, in this process, and the best of each is compared: the variant's, and behind a comma that of
`prepare`, which keeps the weight transformed. A dash: the variant leaves it to the plain engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import fourier, paths, prepare, winograd
from convsuite_backends.numpy_im2col.geometry import geometry

NAMES: dict[ModuleType, Literal["winograd", "fft"]] = {winograd: "winograd", fourier: "fft"}
SECONDS = 0.5  # for each comparison
CHANNELS = (16, 32, 64, 128, 256, 512)
PLANES = (14, 28, 56, 112, 224)
MOST_PRODUCTS = 4e9
WINDOWS = (  # kernel, input, channels in and out a group, groups
    ((9, 9), (56, 56), 1, 1, 64),
    ((15, 15), (56, 56), 1, 1, 64),
    ((27, 27), (56, 56), 1, 1, 64),
    ((13, 13), (128, 128), 4, 4, 1),
    ((21, 21), (128, 128), 1, 1, 1),
    ((31, 31), (128, 128), 1, 1, 1),
    ((31, 31), (56, 56), 16, 16, 1),
    ((31, 31), (56, 56), 64, 64, 1),
    ((256,), (16_384,), 1, 1, 1),
    ((256,), (16_384,), 8, 8, 1),
    ((7, 7, 7), (40, 40, 40), 4, 4, 1),
    ((9, 9, 9), (40, 40, 40), 4, 4, 1),
)


def main() -> None:
    print("| 3×3, channels → channels |" + "".join(f" {n}×{n} |" for n in PLANES))
    print("|---|" + "---|" * len(PLANES))
    for c in CHANNELS:
        print(f"| {c} → {c} |" + "".join(f" {share(winograd, (3, 3), (n, n), c, c, 1)} |" for n in PLANES), flush=True)
    print("\n| kernel | input | channels | share |\n|---|---|---|---|")
    for kernel, sizes, c_in, c_out, groups in WINDOWS:
        channels = f"{groups}, depthwise" if groups > 1 else f"{c_in} → {c_out}"
        found = share(fourier, kernel, sizes, c_in, c_out, groups)
        print(f"| {_product(kernel)} | {_product(sizes)} | {channels} | {found} |", flush=True)


def share(
    variant: ModuleType, kernel: tuple[int, ...], sizes: tuple[int, ...], c_in: int, c_out: int, groups: int
) -> str:
    """Return the variant's time, and `prepare`'s, divided by the plain engine's, in words."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, c_in * groups, *sizes), np.float32)
    weight = rng.standard_normal((c_out * groups, c_in, *kernel), np.float32)
    pads = [(k // 2, (k - 1) // 2) for k in kernel]
    g = geometry(x.shape, weight.shape, None, stride=1, dilation=1, padding=pads, padding_mode="zeros", groups=groups,
                 flip=False)  # fmt: skip
    if variant.plan(g, x.itemsize) is None:
        return "–"
    if c_in * c_out * groups * np.prod(kernel) * np.prod(sizes) > MOST_PRODUCTS:
        return ""
    y = np.empty(g.out_shape, x.dtype)
    anew = [partial(module.forward, x, weight, None, g, x.dtype, y) for module in (variant, paths)]
    layer = prepare(weight, padding=pads, groups=groups, algorithm=NAMES[variant])
    fast, plain, prepared = best([*anew, partial(layer, x, out=y)])
    return f"{fast / plain:.2f}, {prepared / plain:.2f}"


def best(calls: list[Callable[[], NDArray[Any]]]) -> list[float]:
    """Return each call's best time, in seconds."""
    times: list[list[float]] = [[] for _ in calls]
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times[0]) < 5:
        for call, taken in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return [min(taken[1:]) for taken in times]


def _product(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))


if __name__ == "__main__":
    main()
