"""What a backend says of itself, checked in its own process: nothing that it makes up may stop the run."""

from __future__ import annotations

from dataclasses import replace

from convsuite.algorithms import Fft, Winograd
from convsuite.case import DTYPES, Level, Numerics, Support


def plain(said: object) -> str:
    """Return a text that can be stored and printed: a lone surrogate is written out."""
    return str(said).encode("utf-8", "backslashreplace").decode()


def support(said: object) -> Support:
    """Return a declaration of support; raise TypeError where it is none."""
    if not isinstance(said, Support) or not isinstance(said.level, Level):
        raise TypeError(f"support must return a Support, e.g. Support.native(), not {said!r}")
    return Support(said.level, plain(said.reason))


def numerics(said: object) -> Numerics:
    """Return a declaration of arithmetic; raise TypeError where it is none, ValueError for a dtype without bounds."""
    if not isinstance(said, Numerics):
        raise TypeError(f"numerics must return a Numerics, not {said!r}")
    for dtype in (said.accumulator, said.intermediate or said.accumulator):
        if dtype not in DTYPES:
            raise ValueError(f"numerics names the dtype {dtype!r}; known are {', '.join(DTYPES)}")
    roundings = said.intermediate_roundings
    if roundings is not None and (type(roundings) is not int or roundings < 0):
        raise ValueError(f"numerics counts roundings from 0 on, or None where it is not known, not {roundings!r}")
    if said.fast is not None and not isinstance(said.fast, Winograd | Fft):
        raise TypeError(f"numerics names a fast algorithm by convsuite.algorithms.Winograd or Fft, not {said.fast!r}")
    if said.fast is not None and (said.intermediate is not None or said.tf32):
        raise ValueError(f"there is no bound for {said.fast.name} with {replace(said, fast=None, note='').narrowing}")
    return replace(said, note=plain(said.note), tf32=bool(said.tf32))
