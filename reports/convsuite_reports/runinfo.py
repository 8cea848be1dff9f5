"""A run as a reader knows it: when, where, with what; and which run a report is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convsuite import runs
from convsuite.errors import StoreError

if TYPE_CHECKING:
    from convsuite.store import Store

_SHARED = """SELECT 1 FROM outcome AS here WHERE run = ? AND EXISTS (SELECT 1 FROM outcome AS there WHERE there.run = ?
    AND there.case_id = here.case_id AND there.pass = here.pass AND there.backend = here.backend) LIMIT 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One that took part, or could not."""

    name: str
    device: str
    ready: bool
    versions: tuple[tuple[str, str], ...]
    import_s: float | None

    @property
    def version(self) -> str:
        """What computes, and its version."""
        return " ".join(self.versions[0]) if self.versions else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run and its environment."""

    number: int
    started: str
    finished: str
    state: str
    command: str
    about: tuple[tuple[str, str], ...]  # name and value, as they are shown
    revision: str
    cpu: str
    backends: tuple[Backend, ...]

    @property
    def when(self) -> str:
        """When it began, UTC, to the minute."""
        return self.started[:16].replace("T", " ")


def chosen(store: Store, number: int | None) -> int:
    """Return the run that a report is about: the one asked for, else the newest check, else the newest with outcomes.

    Raise StoreError where it has no outcomes.
    """
    if number is None and not runs.numbers(store, runs.WITH_OUTCOMES):
        raise StoreError(f"{store.path}: no run in it has outcomes: `convsuite check` makes one")
    return runs.check("last" if number is None else str(number), store)


def before(store: Store, number: int) -> int | None:
    """Return the newest check before a run that has some of its checks, to compare with; None where there is none."""
    earlier = [one for one in runs.numbers(store, runs.CHECKS) if one < number]
    return next((one for one in reversed(earlier) if any(store.rows(_SHARED, (number, one)))), None)


def newest_bench(store: Store, number: int) -> int | None:
    """Return the run itself if it has times, else the newest that has; None where none has."""
    timed = runs.numbers(store, runs.WITH_TIMES)
    return number if number in timed else timed[-1] if timed else None


def run_of(store: Store, number: int) -> Run:
    """Return a run."""
    (r,) = store.rows("SELECT * FROM run WHERE id = ?", (number,))
    backends = store.rows("SELECT * FROM backend WHERE run = ? ORDER BY name", (number,))
    variables = json.loads(r["variables"] or "{}")
    about = (
        ("convsuite", r["convsuite"]), ("cases", r["cases_revision"] or "no git revision"), ("processor", r["cpu"]),
        ("instruction sets", r["isa"]), ("cores", r["cores"]), ("threads of each backend", r["threads"]),
        ("system", r["platform"]), ("Python", r["python"]), ("NumPy", r["numpy"]),
        ("environment", " ".join(f"{name}={value}" for name, value in variables.items())), ("command", r["command"]),
    )  # fmt: skip
    return Run(
        number=number,
        started=r["started"],
        finished=r["finished"] or "",
        state=r["state"],
        command=r["command"],
        about=tuple((name, str(value)) for name, value in about if value),
        revision=r["cases_revision"] or "",
        cpu=r["cpu"] or "",
        backends=tuple(
            Backend(
                name=b["name"], device=b["device"], ready=b["state"] == "ready",
                versions=tuple(json.loads(b["versions"]).items()), import_s=b["import_s"],
            )
            for b in backends
        ),
    )  # fmt: skip
