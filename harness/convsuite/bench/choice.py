"""What a bench was asked for, and the plan that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from convsuite import casefile, checking, environment
from convsuite.bench import engine
from convsuite.bench.records import COLD, DEVICE, HOT, THROUGHPUT
from convsuite.case import Pass
from convsuite.errors import ConvsuiteError, SelectorError
from convsuite.nearest import did_you_mean
from convsuite.operations import OPERATIONS
from convsuite.selectors import LOOK

if TYPE_CHECKING:
    from convsuite.case import Case

_LEVEL = "real"  # of a suite, a glob or a term; a whole id is taken at any level


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, as the command line understood it."""

    selectors: tuple[str, ...]
    folders: tuple[Path, ...]
    backends: tuple[str, ...]
    base: str | None
    threads: tuple[int, ...]
    device: str
    passes: tuple[str, ...]
    cold: bool
    processes: int | None
    quick: bool
    db: Path
    as_json: bool
    timeout_s: float
    command: str


def plan_of(request: Request) -> tuple[engine.Plan, str]:
    """Return what is to be timed, and the base of its ratios. Raise ConvsuiteError where it cannot be done."""
    if request.device == "cpu" and max(request.threads) > (cores := environment.cores()):
        raise ConvsuiteError(f"--threads {max(request.threads)}: a thread has a core of its own, and there are {cores}")
    entries = checking.choose(request.backends, all_variants=False)
    names = list(dict.fromkeys(entry.name for entry in entries))
    if request.base is not None:
        names = list(dict.fromkeys([*names, *(e.name for e in checking.choose((request.base,), all_variants=False))]))
    base = request.base or (request.backends[0] if request.backends else "torch" if "torch" in names else names[0])
    cases, passes = _cases(request), tuple(Pass(name) for name in request.passes)
    modes = (HOT, *((COLD,) if request.cold else ()), *((THROUGHPUT, DEVICE) if request.device != "cpu" else ()))
    method, processes = engine.usual(cases, request.quick)
    plan = engine.Plan(
        cases=cases,
        passes=passes,
        backends=tuple(names),
        device=request.device,
        threads=tuple(dict.fromkeys(request.threads)),
        modes=modes,
        method=method,
        processes=request.processes or processes,
        timeout_s=request.timeout_s,
    )
    if not plan.total:
        asked = ", ".join(request.passes)
        raise SelectorError(
            f"no case of the selection has the pass {asked}; a case file says so: passes: [forward, {asked}]"
        )
    return plan, base


def _cases(request: Request) -> tuple[Case, ...]:
    """Return the cases that were selected and can be timed: a name alone is a suite's."""
    asked = request.selectors or (() if request.folders else ("smoke",))
    texts = [glob for text in asked for glob in _selectors(text, request.folders)]
    _, cases = casefile.selected(request.folders, texts, _LEVEL)
    valid = tuple(case for case in cases if case.expect.error is None)
    if not valid:
        raise SelectorError("all cases of the selection are to be refused: there is nothing to time")
    return valid


def _selectors(text: str, folders: Sequence[Path]) -> list[str]:
    """Return what a selector stands for: a name alone is a suite's, a case file's in each operation that has it."""
    if any(mark in text for mark in "/=*?["):
        return [text]
    if folders:
        return [f"*/{text}/*"]
    name = engine.SMOKE if text == "smoke" else text
    there = files(casefile.BUILTIN)
    found = [f"{operation}/{name}/*" for operation in OPERATIONS if (there / operation / f"{name}.yaml").is_file()]
    if not found:
        stems = {f.name.partition(".yaml")[0] for operation in OPERATIONS for f in (there / operation).iterdir()}
        raise SelectorError(f"no suite {text!r}: {did_you_mean(text, sorted(stems), LOOK)}")
    return found
