"""Asking: every call in its framework's own process, as many frameworks at a time as there are cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from convsuite.errors import BackendError
from convsuite.lane import Crashed, Lane, Settings, TimedOut, close_all
from convsuite.meaning.classify import classify
from convsuite.meaning.evaluate import Evaluated, evaluate
from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.records import Call, Given, Row
from convsuite.worker import Failure

if TYPE_CHECKING:
    from convsuite.meaning.records import Probe, Question

_SECONDS = 180.0  # for one call; the first of a process imports the framework


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, and the dialect in whose process it is evaluated."""

    backend: str
    call: Call


@dataclass(slots=True)
class _Survey:
    """A survey under way."""

    advance: Callable[[], None]
    lanes: list[Lane] = field(default_factory=list)
    ended: Event = field(default_factory=Event)


def survey(asked: Sequence[Asked], advance: Callable[[], None] = lambda: None) -> list[Row]:
    """Return a row for each call, in order. A process that dies costs one probe of one call.

    `advance` is told of each call that is done. Raise BackendError where a framework is there and cannot be imported.
    """
    backends = list(dict.fromkeys(a.backend for a in asked))
    state = _Survey(advance)
    with tempfile.TemporaryDirectory(prefix="convsuite-") as workdir, ThreadPoolExecutor(os.cpu_count()) as threads:
        state.lanes += [Lane(b, "cpu", Settings(timeout_s=_SECONDS, workdir=Path(workdir))) for b in backends]
        try:
            found = threads.map(
                lambda lane: _rows(state, lane, [a.call for a in asked if a.backend == lane.name]), state.lanes
            )
            rows = dict(zip(backends, map(iter, found), strict=True))
        finally:
            state.ended.set()
            close_all(state.lanes)
    return [next(rows[a.backend]) for a in asked]


def _rows(state: _Survey, lane: Lane, calls: Sequence[Call]) -> list[Row]:
    rows = []
    for call in calls:
        if state.ended.is_set():
            break
        rows.append(_row(lane, call))
        state.advance()
    lane.close()
    return rows


def _row(lane: Lane, call: Call) -> Row:
    question = QUESTIONS[call.question]
    answer = _evaluated(lane, call, question, question.probes)
    if isinstance(answer, Evaluated):
        return classify(question, call, lane.name, answer.version, answer.given)
    if isinstance(answer, TimedOut):
        return classify(question, call, lane.name, "", [Given(refusal=answer.message)] * len(question.probes))
    one_by_one = [_evaluated(lane, call, question, [probe]) for probe in question.probes]
    version = next((a.version for a in one_by_one if isinstance(a, Evaluated)), "")
    given = [a.given[0] if isinstance(a, Evaluated) else Given(refusal=a.message) for a in one_by_one]
    return classify(question, call, lane.name, version, given)


def _evaluated(lane: Lane, call: Call, question: Question, probes: Sequence[Probe]) -> Evaluated | Crashed | TimedOut:
    reply: object = lane.reply(lane.call(evaluate, [lane.name, call, tuple(probes), question.gradient]))
    if isinstance(reply, Failure):
        raise BackendError(f"{lane.name}: {reply.exception}: {reply.message}")
    assert isinstance(reply, (Evaluated, Crashed, TimedOut))
    return reply
