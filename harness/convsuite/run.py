"""What to run where, in what order; the only place that turns a backend's exception into an Outcome.

Cases go through a window: each is filled once, judged once against one reference, and dropped as soon as every lane has
answered, so that memory does not grow with their number. Lanes work on the window in parallel, each at its own pace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite import judge, worker
from convsuite.case import Agreement, Case, Expected, Level, Numerics, Outcome, Pass, Status, Support, Verdict
from convsuite.dtypes import round_to
from convsuite.errors import CaseFileError
from convsuite.evidence import Evidence, evidence_of
from convsuite.formats import INDEX_DTYPES
from convsuite.known import KnownFailures
from convsuite.lane import Crashed, Lane, Reply, State, TimedOut
from convsuite.operands import fill
from convsuite.operations import of

__all__ = ["IMPORT", "OneByOne", "Report", "Work", "check", "contradictions", "digest_of", "outcome_of", "start"]

IMPORT = "(import)"  # the operation, and case id, of an outcome that is about a backend's import
_WINDOW_CASES = 128  # so many that a lane which is slow for a while does not hold up another that is slow elsewhere
_WINDOW_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that became of one case: the unit in which results leave the run."""

    case: Case | None  # None for the outcome of an import
    outcomes: tuple[Outcome, ...]
    agreements: tuple[Agreement, ...] = ()
    evidence: tuple[Evidence, ...] = ()  # of wrong answers


@dataclass(slots=True)
class Work:
    """A case on its way through the window."""

    case: Case
    operands: tuple[NDArray[np.generic], ...]
    begun: set[str] = field(default_factory=set)
    replies: dict[str, Reply] = field(default_factory=dict)
    _expected: dict[Pass, Expected] = field(default_factory=dict)

    def expected(self, pass_: Pass) -> Expected:
        """Return what a pass must give; the reference computes it once."""
        if pass_ not in self._expected:
            self._expected[pass_] = of(self.case).reference(self.case, self.operands, pass_)
        return self._expected[pass_]

    def prepare(self) -> bool:
        """Compute one reference that is still missing; False when there is none."""
        missing = [p for p in self.case.passes if p not in self._expected] if self.case.expect.error is None else []
        if missing:
            self.expected(missing[0])
        return bool(missing)

    @property
    def nbytes(self) -> int:
        """Bytes that the case holds now: operands, references, answers."""
        answers = (p.array for r in self.replies.values() if isinstance(r, worker.Answer) for p in r.passes)
        references = (part for e in self._expected.values() for part in (e.value, e.low, e.magnitude))
        return sum(a.nbytes for a in (*self.operands, *references, *answers) if isinstance(a, np.ndarray))


_Busy = dict[Future[Any], tuple[Lane, Work | None]]  # what each lane is at: a case, or importing its backend (None)


def start(lanes: Sequence[Lane]) -> tuple[list[Lane], list[Report]]:
    """Import every lane's backend, all at once. Return the lanes that work, and reports on those that are broken.

    A lane whose framework is not installed, or does not find the device, is closed without a report: that is no
    failure, and `closed_by` says what is missing.
    """
    reports = []
    for lane, future in [(lane, lane.open()) for lane in lanes]:
        reply = lane.reply(future)
        if not lane.opened_with(reply) and not (isinstance(reply, worker.Failure) and reply.missing):
            reports.append(Report(case=None, outcomes=(_import_outcome(lane, reply),)))
    return [lane for lane in lanes if lane.state is State.READY], reports


def check(cases: Iterable[Case], lanes: Sequence[Lane], known: KnownFailures) -> Iterator[Report]:
    """Run every case on every lane that is ready, and yield a report for each as it is complete, in order."""
    source, window = iter(cases), list[Work]()
    busy: _Busy = {}
    exhausted = False

    def serve() -> None:
        """Give what has finished meanwhile its next case: the slowest lane should not wait while others are judged."""
        for future in [future for future in busy if future.done()]:
            lane, work = busy.pop(future)
            _take(lane, work, lane.reply(future))
        _feed(lanes, window, busy)

    while True:
        while not exhausted and len(window) < _WINDOW_CASES and sum(w.nbytes for w in window) < _WINDOW_BYTES:
            case = next(source, None)
            exhausted = case is None
            if case is not None:
                window.append(Work(case, fill(case)))
        _feed(lanes, window, busy)
        # references are made while the backends are at work
        ready = not busy or any(future.done() for future in busy)
        if not ready and any(work.prepare() for work in window):
            continue
        for future in _done(busy):
            lane, work = busy.pop(future)
            _take(lane, work, lane.reply(future))
        _feed(lanes, window, busy)  # at once: a lane should not wait while its last answer is judged
        while window and all(lane.name in window[0].replies for lane in lanes):
            yield _report(window.pop(0), lanes, known, serve)
        if exhausted and not window:
            return


class OneByOne:
    """Single cases on single lanes, in whatever order; the next lane finds the operands and the reference made."""

    def __init__(self) -> None:
        self._work: Work | None = None

    def check(self, case: Case, lane: Lane, known: KnownFailures) -> Report:
        """Run one case on one lane."""
        if self._work is None or self._work.case is not case:
            self._work = Work(case, fill(case))
        work, busy = self._work, _Busy()
        work.begun.discard(lane.name)
        work.replies.pop(lane.name, None)
        while lane.name not in work.replies:
            _feed([lane], [work], busy)
            for future in list(busy):
                while not future.done() and work.prepare():
                    pass
                _take(*busy.pop(future), lane.reply(future))
        return _report(work, [lane], known)


def contradictions(cases: Iterable[Case]) -> None:
    """Raise CaseFileError where the values that a case writes out are not what the reference computes.

    A hand-computed value and a reference that disagree mean that one of them is wrong: nothing may run on that.
    """
    for case in cases:
        if case.expect.values is None:
            continue
        due = np.array(case.expect.values.values, dtype=np.float64).reshape(case.expect.values.shape)
        computed = of(case).reference(case, fill(case), Pass.FORWARD).value
        said, right = (round_to(values, case.dtype).astype(np.float64) for values in (due, computed))
        differ = (said != right) & ~(np.isnan(said) & np.isnan(right))
        if differ.any():
            at = tuple(int(i) for i in np.argwhere(differ)[0])
            raise CaseFileError(
                f"{case.origin.file}:{case.origin.line}: {case.id}: expect.values say {due[at]:g} at {list(at)}, "
                f"by the definition it is {computed[at]:g}"
            )


def _done(busy: _Busy) -> list[Future[Any]]:
    """Wait until a lane has an answer, or its process is gone without one."""
    while busy:
        done = list(wait(busy, timeout=0.25, return_when=FIRST_COMPLETED).done)
        done = done or [future for future, (lane, _) in busy.items() if lane.finished(future)]
        if done:
            return done
    return []


def _feed(lanes: Sequence[Lane], window: list[Work], busy: _Busy) -> None:
    """Give every idle lane the first case that it has not begun, or a new process where its last one died."""
    working = {lane.name for lane, _ in busy.values()}
    for lane in lanes:
        waiting = [work for work in window if lane.name not in work.begun]
        if lane.name in working or not waiting:
            continue
        if lane.state is State.NEW:
            busy[lane.open()] = (lane, None)
        elif lane.state is State.CLOSED:
            for work in waiting:
                work.begun.add(lane.name)
                work.replies[lane.name] = lane.closed_by or Crashed("its process was ended")
        else:
            waiting[0].begun.add(lane.name)
            busy[lane.run(waiting[0].case, waiting[0].operands)] = (lane, waiting[0])


def _take(lane: Lane, work: Work | None, reply: Reply) -> None:
    """Note a case's reply; or, where the lane was importing its backend anew, whether that went well."""
    if work is not None:
        work.replies[lane.name] = reply
    else:
        lane.opened_with(reply)


def _report(
    work: Work, lanes: Sequence[Lane], known: KnownFailures, between: Callable[[], None] = lambda: None
) -> Report:
    """Judge what all lanes answered to a case; `between` is called before each."""
    outcomes, arrays = [], dict[Pass, list[tuple[Outcome, NDArray[Any]]]]()
    wrong = list[tuple[Outcome, worker.PassAnswer]]()
    for lane in lanes:
        between()
        reply = work.replies[lane.name]
        for pass_, answer in _answers(work.case, reply):
            outcome = known.judge(outcome_of(work, lane, pass_, answer, reply), lane.version.rpartition(" ")[2])
            outcomes.append(outcome)
            array = answer.array if isinstance(answer, worker.PassAnswer) else None
            if isinstance(answer, worker.PassAnswer) and _is_wrong(outcome):
                wrong.append((outcome, answer))
            # of wrong answers it is known how far off they are; agreement is of right ones
            if outcome.status is Status.PASSED and isinstance(array, np.ndarray):
                arrays.setdefault(pass_, []).append((outcome, array))
    evidence = tuple(_evidence(work, outcome, answer) for outcome, answer in wrong)
    return Report(
        case=work.case, outcomes=tuple(outcomes), agreements=tuple(_agreements(work, arrays)), evidence=evidence
    )


def _is_wrong(outcome: Outcome) -> bool:
    """Return whether an answer has wrong elements, be that known or not."""
    failed = outcome.status in (Status.MISMATCH, Status.KNOWN_FAILURE)
    return failed and outcome.verdict is not None and outcome.verdict.wrong > 0


def _evidence(work: Work, outcome: Outcome, answer: worker.PassAnswer) -> Evidence:
    """Return where an answer is wrong, the first or the second, beside what all backends answered to that pass."""
    others = {
        name: other.array
        for name, reply in work.replies.items()
        for pass_, other in _answers(work.case, reply)
        if pass_ is answer.pass_ and isinstance(other, worker.PassAnswer) and isinstance(other.array, np.ndarray)
    }
    both = [array for array in (answer.array, answer.again) if isinstance(array, np.ndarray)]
    dtype = due_dtype(work.case, answer.pass_, answer.dtype)
    return evidence_of(outcome, both, work.expected(answer.pass_), dtype, others)


def _answers(case: Case, reply: Reply) -> list[tuple[Pass, worker.PassAnswer | Reply]]:
    """Return what each pass came to; what befell the whole process befell each of them."""
    if isinstance(reply, worker.Answer):
        return [(answer.pass_, answer) for answer in reply.passes]
    return [(pass_, reply) for pass_ in case.passes]


def outcome_of(work: Work, lane: Lane, pass_: Pass, answer: worker.PassAnswer | Reply, reply: Reply) -> Outcome:
    """Judge what a lane answered to one pass of a case."""
    status, message, verdict = _status(work, pass_, answer)
    passed = answer if isinstance(answer, worker.PassAnswer) else None
    return Outcome(
        case_id=work.case.id,
        operation=work.case.operation,
        dtype=work.case.dtype,
        pass_=pass_,
        backend=lane.name,
        device=lane.device,
        status=status,
        support=passed.support if passed else Support(Level.NATIVE),
        message=message,
        verdict=verdict,
        numerics=passed.numerics if passed and verdict else None,
        reproducible=passed.reproducible if passed else None,
        digest=digest_of(passed) if passed else "",
        seconds=reply.seconds if isinstance(reply, worker.Answer) else 0.0,
    )


def _status(work: Work, pass_: Pass, answer: worker.PassAnswer | Reply) -> tuple[Status, str, Any]:
    match answer:
        case Crashed(message):
            return Status.CRASH, message, None
        case TimedOut(message):
            return Status.TIMEOUT, message, None
        case worker.Failure():
            return Status.ERROR, f"{answer.exception}: {answer.message}", None
        case worker.PassAnswer():
            return _pass_status(work, pass_, answer)
    raise TypeError(f"{answer!r} is no answer to a case")


def _pass_status(work: Work, pass_: Pass, answer: worker.PassAnswer) -> tuple[Status, str, Any]:
    if answer.failure is not None and answer.failure.uncalled:
        return Status.ERROR, f"before the call: {answer.failure.exception}: {answer.failure.message}", None
    declared_not = answer.support.level is Level.UNSUPPORTED
    untried = answer.failure is None and answer.array is None and not answer.dtype
    if declared_not and (untried or work.case.expect.error is not None):
        return Status.UNSUPPORTED, answer.support.reason, None
    if work.case.expect.error is not None:
        failure = answer.failure
        verdict = judge.judge_refusal(
            failure is None,
            failure.exception if failure else "",
            failure.message if failure else "",
            work.case.expect.error,
        )
        return (Status.PASSED if verdict.right else Status.MISMATCH), verdict.message, verdict
    if answer.failure is not None:
        text = f"{answer.failure.exception}: {answer.failure.message}"
        if declared_not:
            return Status.UNSUPPORTED, f"{answer.support.reason}; tried: {text}", None
        return Status.ERROR, text, None
    if answer.wrote_into:
        status = Status.UNSUPPORTED if declared_not else Status.MISMATCH
        return status, f"wrote into its operand {', '.join(answer.wrote_into)}", None
    verdict = _judged(work, pass_, answer)
    if verdict.unchecked and not verdict.compared and _by_what_is_declared(work, pass_, answer):
        assert answer.numerics is not None
        return Status.UNSUPPORTED, f"no bound that says anything: {answer.numerics.narrowing}", verdict
    if declared_not and not verdict.right:
        return Status.UNSUPPORTED, f"{answer.support.reason}; tried: {verdict.message}", verdict
    return (Status.PASSED if verdict.right else Status.MISMATCH), verdict.message, verdict


def _by_what_is_declared(work: Work, pass_: Pass, answer: worker.PassAnswer) -> bool:
    """Tell whether the answer could be checked if the backend declared no rounding on the way."""
    assert answer.numerics is not None
    plain = replace(answer.numerics, intermediate=None, intermediate_roundings=None, tf32=False)
    if plain == answer.numerics:
        return False
    return _verdict(work, pass_, answer, answer.array, plain).compared > 0


def _judged(work: Work, pass_: Pass, answer: worker.PassAnswer) -> Verdict:
    """Judge the first answer, and the second where it differs: right once is not right."""
    assert answer.numerics is not None
    verdict = _verdict(work, pass_, answer, answer.array, answer.numerics)
    if verdict.right and answer.again is not None:
        again = _verdict(work, pass_, answer, answer.again, answer.numerics)
        if not again.right:
            return replace(again, message=f"right at first, wrong when run again: {again.message}")
    return verdict


def _verdict(work: Work, pass_: Pass, answer: worker.PassAnswer, array: Any, numerics: Numerics) -> Verdict:
    """Judge one array of an answer as of some arithmetic."""
    dtype = due_dtype(work.case, pass_, answer.dtype)
    return judge.judge(array, answer.dtype, work.expected(pass_), dtype, numerics)


def due_dtype(case: Case, pass_: Pass, given: str) -> str:
    """Return the dtype that a result must have: the case's; of indices either integer that frameworks use."""
    if pass_ is not Pass.INDICES:
        return case.dtype
    return given if given in INDEX_DTYPES else INDEX_DTYPES[0]


def _agreements(work: Work, arrays: dict[Pass, list[tuple[Outcome, NDArray[Any]]]]) -> Iterator[Agreement]:
    for pass_, answered in arrays.items():
        for (left, a), (right, b) in combinations(answered, 2):
            same = left.digest == right.digest or judge.identical(a, b)
            yield Agreement(
                case_id=work.case.id,
                operation=work.case.operation,
                pass_=pass_,
                left=left.backend,
                right=right.backend,
                identical=same,
                units=0.0 if same else _units_apart(work, (left, a), (right, b)),
            )


def _units_apart(work: Work, left: tuple[Outcome, NDArray[Any]], right: tuple[Outcome, NDArray[Any]]) -> float:
    pass_, numerics = left[0].pass_, [o.numerics for o, _ in (left, right) if o.numerics is not None]
    return judge.units_apart(left[1], right[1], work.expected(pass_), due_dtype(work.case, pass_, ""), numerics)


def _import_outcome(lane: Lane, reply: Reply) -> Outcome:
    match reply:
        case Crashed(message):
            status, text = Status.CRASH, message
        case TimedOut(message):
            status, text = Status.TIMEOUT, message
        case worker.Failure():
            status, text = Status.ERROR, f"installed, but it cannot be imported: {reply.exception}: {reply.message}"
        case _:
            raise TypeError(f"{reply!r} is no answer to an import")
    return Outcome(
        case_id=IMPORT,
        operation=IMPORT,
        dtype="",
        pass_=Pass.FORWARD,
        backend=lane.name,
        device=lane.device,
        status=status,
        support=Support(Level.NATIVE),
        message=text,
    )


def digest_of(answer: worker.PassAnswer) -> str:
    """Return a digest of an answer's bytes, "" where it is no array: equal digests are the same bits."""
    array = answer.array
    return _digest(array) if isinstance(array, np.ndarray) else ""


def _digest(array: NDArray[Any]) -> str:
    return hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()
