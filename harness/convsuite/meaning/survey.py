"""Asking: every call in its framework's own process, as many frameworks at a time as there are cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

_SECONDS = 600.0  # for one call; the first of a process imports the framework, and a machine may be busy


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, and the dialect in whose process it is evaluated."""

    backend: str
    call: Call


def survey(asked: Sequence[Asked]) -> list[Row]:
    """Return a row for each call, in order. A process that dies costs one probe of one call.

    Raise BackendError where a framework is there and cannot be imported, or gives no answer.
    """
    backends = list(dict.fromkeys(a.backend for a in asked))
    ended = Event()
    with tempfile.TemporaryDirectory(prefix="convsuite-") as workdir, ThreadPoolExecutor(os.cpu_count()) as threads:
        lanes = [Lane(name, "cpu", Settings(timeout_s=_SECONDS, workdir=Path(workdir))) for name in backends]
        calls = [[a.call for a in asked if a.backend == name] for name in backends]
        try:
            found = threads.map(_rows, lanes, calls, [ended] * len(lanes))
            rows = dict(zip(backends, map(iter, found), strict=True))
        finally:
            ended.set()
            close_all(lanes)
    return [next(rows[a.backend]) for a in asked]


def _rows(lane: Lane, calls: Sequence[Call], ended: Event) -> list[Row]:
    """Return the rows of one framework, its process ended with the last; none more once all is ended."""
    rows = [_row(lane, call) for call in calls if not ended.is_set()]
    lane.close()
    return rows


def _row(lane: Lane, call: Call) -> Row:
    question = QUESTIONS[call.question]
    answer = _evaluated(lane, call, question, question.probes)
    if isinstance(answer, Evaluated):
        return classify(question, call, lane.name, answer.version, answer.given)
    one_by_one = [_evaluated(lane, call, question, [probe]) for probe in question.probes]
    version = next((a.version for a in one_by_one if isinstance(a, Evaluated)), "")
    given = [a.given[0] if isinstance(a, Evaluated) else Given(refusal=a.message) for a in one_by_one]
    return classify(question, call, lane.name, version, given)


def _evaluated(lane: Lane, call: Call, question: Question, probes: Sequence[Probe]) -> Evaluated | Crashed:
    reply: object = lane.reply(lane.call(evaluate, [lane.name, call, tuple(probes), question.gradient]))
    if isinstance(reply, Failure):
        raise BackendError(f"{lane.name}: {reply.exception}: {reply.message}")
    if isinstance(reply, TimedOut):
        raise BackendError(f"{lane.name}: {call.text}: {reply.message}")
    assert isinstance(reply, (Evaluated, Crashed))
    return reply
