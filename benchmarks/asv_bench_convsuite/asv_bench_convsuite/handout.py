"""Times taken all at once and handed out one by one, to processes that have but a folder in common."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Protocol

Combination = tuple[object, ...]  # a value for each parameter


class Timed(Protocol):
    """What a benchmark's function returns for a combination that has a time."""

    @property
    def samples(self) -> Sequence[float]:
        """Seconds a call, one a block."""

    @property
    def number(self) -> int:
        """Calls a block."""


@dataclass(frozen=True)
class Entry:
    """What there is for a combination: its samples, or else a reason."""

    samples: tuple[float, ...] = ()  # seconds a call, one a block
    number: int = 0  # calls a block
    reason: str = ""  # why there are none
    failed: bool = False  # taking the times broke off; what has no time for a good reason is skipped

    @staticmethod
    def of(result: Timed | str | None) -> Entry:
        """Return what becomes of a function's result; nothing is skipped without a reason."""
        if result is None:
            return Entry(reason="the function returned nothing for this combination", failed=True)
        if isinstance(result, str):
            return Entry(reason=result or "no reason was given")
        samples, number = tuple(map(float, result.samples)), int(result.number)
        if number < 1 or not samples or not all(0 < s < inf for s in samples):
            return Entry(reason=f"no times: {number} calls a block, samples {samples}", failed=True)
        return Entry(samples=samples, number=number)


class Handout:
    """A file for each combination, gone once it has been handed out: asked again, times are taken anew.

    So asv's rounds, if somebody wants them, are rounds, and never the same samples counted twice.
    """

    def __init__(self, folder: Path, combinations: Sequence[Combination]) -> None:
        self._folder = folder
        self._combinations = combinations

    def take(self, params: Combination, measure: Callable[[], Mapping[Combination, Timed | str]]) -> Entry:
        """Return a combination's entry; take the times of all where it has none."""
        place = self._place(self._combinations.index(params))
        if not place.exists():
            self._fill(measure)
        entry = Entry(**json.loads(place.read_text(encoding="utf-8")))
        place.unlink()
        return entry

    def _fill(self, measure: Callable[[], Mapping[Combination, Timed | str]]) -> None:
        """Take the times. One failure is everybody's: none tries again what takes as long as all."""
        self._folder.mkdir(exist_ok=True)
        self._all(
            Entry(reason="taking the times of all combinations was cut off, by a timeout or a signal", failed=True)
        )
        try:
            results = measure()
        except Exception:
            self._all(
                Entry(reason=f"taking the times of all combinations failed\n{traceback.format_exc()}", failed=True)
            )
            return
        for i, combination in enumerate(self._combinations):
            self._write(i, Entry.of(results.get(combination)))

    def _all(self, entry: Entry) -> None:
        for i in range(len(self._combinations)):
            self._write(i, entry)

    def _write(self, i: int, entry: Entry) -> None:
        self._place(i).write_text(json.dumps(asdict(entry)), encoding="utf-8")

    def _place(self, i: int) -> Path:
        return self._folder / f"{i}.json"
