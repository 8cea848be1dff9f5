"""Which calls are meant, and which of them can be asked here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from convsuite.errors import SelectorError
from convsuite.meaning.dialect import Dialect
from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.survey import Asked
from convsuite.nearest import did_you_mean

_QUESTIONS = 6  # that an error names


def every(dialects: Mapping[str, Dialect]) -> list[Asked]:
    """Return all calls of some dialects, question by question."""
    asked = [Asked(name, call) for name, dialect in dialects.items() for call in dialect.resolved()]
    order = list(QUESTIONS)
    return sorted(asked, key=lambda a: order.index(a.call.question))


def select(asked: Sequence[Asked], patterns: Sequence[str]) -> list[Asked]:
    """Return the calls that any pattern means: part of a call or of a question's id, or a backend.

    A line of somebody's own, which no call here has word for word, means the calls of that name with its keywords, or
    else all of that name. Raise SelectorError, with the nearest that there is, where a pattern means none.
    """
    chosen = set[Asked]()
    for pattern in patterns:
        if not pattern.strip():
            raise SelectorError("'' says nothing; for all calls, name none")
        found = {a for a in asked if means(pattern, a)} or _alike(pattern, asked)
        if not found:
            raise SelectorError(f"{pattern!r} is in none of {len(asked)} calls; {_near(pattern, asked)}")
        chosen |= found
    return [a for a in asked if not patterns or a in chosen]


def means(pattern: str, asked: Asked) -> bool:
    """Whether a pattern means a call; * and ? stand for any text and any character, brackets for themselves."""
    expression = ".*".join(re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    within = re.compile(f".*{expression}.*", re.IGNORECASE | re.DOTALL)
    return pattern == asked.backend or any(map(within.fullmatch, (asked.call.question, asked.call.text)))


def _alike(line: str, asked: Iterable[Asked]) -> set[Asked]:
    """Return the calls of what a line calls that have all of its keywords; without such, all calls of it."""
    if "(" not in line:
        return set()
    name, last = _names(line)
    called = {a for a in asked if f".{_names(a.call.text)[0]}".endswith(f".{name}")}
    # F.conv2d and nn.Conv2d are names of an import: then the last part is all there is to go by
    called = called or {a for a in asked if _names(a.call.text)[1] == last}
    keywords = _keywords(line)
    return {a for a in called if keywords <= _keywords(a.call.text)} or called


def _keywords(line: str) -> set[str]:
    return set(re.findall(r"(\w+)\s*=(?!=)", line))


def _near(pattern: str, asked: Iterable[Asked]) -> str:
    words = {word for a in asked for word in (a.call.question, a.backend, *_names(a.call.text))}
    some = ", ".join(list(QUESTIONS)[:_QUESTIONS])
    return did_you_mean(pattern, words, f"questions are {some}, … ({len(QUESTIONS)} in all, told by docs/porting.md)")


def _names(line: str) -> tuple[str, str]:
    """Return the dotted name of what a line calls, and its last part."""
    name = line.partition("(")[0]
    return name, name.rpartition(".")[2]
