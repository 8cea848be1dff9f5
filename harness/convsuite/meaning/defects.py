"""Defects that were found by asking for meanings and that no case can show, shipped as plain data: a call each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

import msgspec

FILE = "meaning_defects.json"


class CallDefect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call that does what no reading of its documentation allows."""

    reason: str
    backend: str  # the dialect in whose process the call is evaluated: keras:jax
    seen_with: str
    call: str  # an expression of the framework's modules and np, that it takes one process to try
    gave: str  # as a list, or the type and words of the exception
    right: str
    where: str = ""  # what else it is seen with
    link: str  # of the report upstream, or `not reported`


@cache
def recorded() -> tuple[CallDefect, ...]:
    """Return the defects that are shipped."""
    return msgspec.json.decode((files("convsuite_cases") / FILE).read_bytes(), type=tuple[CallDefect, ...])


def told(defects: tuple[CallDefect, ...]) -> str:
    """Return the section of docs/findings.md about them."""
    return _HEAD + "\n".join(line for number, one in enumerate(defects, 1) for line in _lines(number, one))


_HEAD = """## Found by asking for meanings

Calls that no case of the suite makes: a pool without a stride, padding by itself, `output_padding` beside
`padding="same"`. `convsuite meaning` asks such calls, [porting.md](porting.md) tells what they mean, and our tests try
those below.

"""


def _lines(number: int, one: CallDefect) -> Iterator[str]:
    where = f"{one.backend}, seen with {one.seen_with}{f'; {one.where}' if one.where else ''}"
    rows = {"call": f"`{one.call}`", "gave": one.gave, "right": one.right, "where": where}
    return numbered(number, one.reason, rows, one.link)


def numbered(number: int, title: str, rows: Mapping[str, str], link: str) -> Iterator[str]:
    """Yield the lines of one defect of the page: its title, a line for each row, and the report."""
    yield f"{number}. **{title}**"
    item = " " * len(f"{number}. ") + "- "
    for name, text in rows.items():
        yield f"{item}{name}: {text}"
    yield f"{item}upstream: {'*not reported*' if link == 'not reported' else f'<{link}>'}"
