"""What the head of a case file says of all its cases: so that a file of a level that is not asked for is not parsed."""

from __future__ import annotations

import re

from convsuite.case import LEVELS
from convsuite.errors import CaseFileError
from convsuite.yamlnodes import parse

_CASES = re.compile(r"^cases[ \t]*:", re.MULTILINE)
_MAY_SAY = re.compile(r"level|[\\*]")  # the key itself, an escape that may spell it, an alias that may hold it


def level_of(text: str) -> str | None:
    """Return the level of every case of a file, as its defaults say; None where only reading all of it can tell."""
    cases = _CASES.search(text)
    if cases is None or _MAY_SAY.search(text, cases.end()):
        return None
    try:
        defaults = parse(text[: cases.start()], "").child("defaults")
    except CaseFileError:
        return None
    said = defaults.child("level") if defaults else None
    level = said.value if said else "default"
    return level if level in LEVELS else None
