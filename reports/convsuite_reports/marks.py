"""The letter that stands for an outcome, and the word for what many of them come to: a colour is never alone."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from convsuite.case import Level, Status


class Mark(StrEnum):
    """One outcome in one letter."""

    NATIVE = "N"
    COMPOSED = "C"
    UNDECLARED = "D"  # declared unsupported, and right: a probe found it
    UNSUPPORTED = "U"
    KNOWN = "K"
    MISMATCH = "M"
    ERROR = "E"
    CRASH = "X"
    TIMEOUT = "T"
    FIXED = "F"

    @property
    def words(self) -> str:
        """What a reader is told."""
        return _WORDS[self]


_WORDS = {
    Mark.NATIVE: "right, native",
    Mark.COMPOSED: "right, composed",
    Mark.UNDECLARED: "right, though declared unsupported",
    Mark.UNSUPPORTED: "unsupported, declared",
    Mark.KNOWN: "known failure",
    Mark.MISMATCH: "mismatch: a wrong answer",
    Mark.ERROR: "error: it raised",
    Mark.CRASH: "crash: its process died",
    Mark.TIMEOUT: "timeout",
    Mark.FIXED: "fixed: a known failure that fails no more",
}
RIGHT = (Mark.NATIVE, Mark.COMPOSED, Mark.UNDECLARED)
FOUND = (Mark.MISMATCH, Mark.ERROR, Mark.CRASH, Mark.TIMEOUT, Mark.FIXED)
_PASSED = {
    Level.NATIVE.value: Mark.NATIVE,
    Level.COMPOSED.value: Mark.COMPOSED,
    Level.UNSUPPORTED.value: Mark.UNDECLARED,
}
_OF_STATUS = {
    Status.UNSUPPORTED.value: Mark.UNSUPPORTED,
    Status.KNOWN_FAILURE.value: Mark.KNOWN,
    Status.MISMATCH.value: Mark.MISMATCH,
    Status.ERROR.value: Mark.ERROR,
    Status.CRASH.value: Mark.CRASH,
    Status.TIMEOUT.value: Mark.TIMEOUT,
    Status.FIXED_UPSTREAM.value: Mark.FIXED,
}


def mark_of(status: str, support: str) -> Mark:
    """Return the mark of an outcome."""
    return _PASSED[support] if status == Status.PASSED else _OF_STATUS[status]


class State(StrEnum):
    """What the outcomes of a cell come to: the first of these that is true of any."""

    WRONG = "wrong"  # a finding
    KNOWN = "known"  # a known failure
    PARTLY = "partly"  # some unsupported, the others right
    UNSUPPORTED = "unsupported"  # all
    COMPOSED = "composed"  # all right, at least one of several calls
    NATIVE = "native"  # all right, by the framework's own options

    @property
    def sign(self) -> str:
        """The sign in a cell."""
        return _SIGNS[self]

    @property
    def rank(self) -> int:
        """By which columns are sorted: the worst first."""
        return list(State).index(self)

    @property
    def sought(self) -> str:
        """The marks that a reader of a bad cell looks for, as the page of its cases filters by them; "" for any."""
        return {State.WRONG: "".join(FOUND), State.KNOWN: Mark.KNOWN.value}.get(self, "")


_SIGNS = {
    State.WRONG: "✕",
    State.KNOWN: "!",
    State.PARTLY: "◐",
    State.UNSUPPORTED: "–",
    State.COMPOSED: "C",
    State.NATIVE: "✓",
}


def state_of(marks: Iterable[str]) -> State:
    """Return what some outcomes come to."""
    seen = set(marks)
    if seen & set(FOUND):
        return State.WRONG
    if Mark.KNOWN in seen:
        return State.KNOWN
    if Mark.UNSUPPORTED in seen:
        return State.PARTLY if seen & set(RIGHT) else State.UNSUPPORTED
    return State.COMPOSED if seen - {Mark.NATIVE} else State.NATIVE
