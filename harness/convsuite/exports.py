"""A run for other programs: JSON lines as it goes, JUnit XML from the database at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import msgspec

from convsuite.case import FINDINGS, Outcome, Status
from convsuite.errors import StoreError
from convsuite.store import is_database

if TYPE_CHECKING:
    from sqlite3 import Row

    from convsuite.store import Store
    from convsuite.tally import Tally

_FAILURES = {s.value for s in FINDINGS}


def json_outcome(outcome: Outcome) -> str:
    """Return an outcome as one line of strict JSON; an infinity becomes null."""
    return msgspec.json.encode(outcome).decode().replace('"pass_":', '"pass":', 1)


def json_summary(tally: Tally, run: int, state: str) -> str:
    """Return the last line of a JSON run: what it came to."""
    counts: dict[str, int] = {}
    for (_, _, status), n in tally.counts.items():
        counts[status] = counts.get(status, 0) + n
    pairs = [
        {
            "left": left,
            "right": right,
            "compared": p.compared,
            "identical": p.identical,
            "max_units": p.units,
            "worst_case": p.worst_case,
        }
        for (left, right), p in sorted(tally.pairs.items())
    ]
    summary = {
        "run": run,
        "state": state,
        "cases": tally.cases,
        "counts": counts,
        "backends": dict(tally.versions),
        "findings": tally.found,
        "stale": tally.stale,
    }
    return msgspec.json.encode({"summary": summary, "agreement": pairs}).decode()


def check_junit(path: Path, db: Path) -> None:
    """Raise StoreError where the JUnit file has no place: better before a run than after it."""
    if path.is_dir() or not path.parent.is_dir():
        why = "is a directory" if path.is_dir() else f"there is no folder {path.parent}"
        raise StoreError(f"{path}: the JUnit file cannot be written: {why}")
    if path.absolute() == db.absolute() or is_database(path):
        raise StoreError(f"{path}: is a database, and left as it is; name another file with --junit")


def write_junit(store: Store, run: int, path: Path) -> None:
    """Write a run's outcomes as a file of JUnit XML. Raise StoreError where the file cannot be written."""
    try:
        with path.open("w", encoding="utf-8") as file:
            junit_to(file, store, run)
    except OSError as error:
        raise StoreError(
            f"{path}: the JUnit file cannot be written: {error.strerror}; the results are in the database"
        ) from None


def junit_to(file: TextIO, store: Store, run: int) -> None:
    """Write a run's outcomes as JUnit XML, row by row, and its stale known failures.

    A testcase is one pass; its `time` is the case's time on its backend divided by the number of passes.
    """
    stale = store.stale(run)
    total, failures, skipped = (n or 0 for n in next(iter(store.rows(_SUMS, (run,)))))
    xml = XMLGenerator(file, "utf-8", short_empty_elements=True)  # type: ignore[arg-type]  # any text file will do
    xml.startDocument()
    _start(xml, "testsuites", {})
    sums = {"tests": total + len(stale), "failures": failures + len(stale), "skipped": skipped}
    _start(xml, "testsuite", {"name": "convsuite", **{key: str(n) for key, n in sums.items()}})
    for row in store.rows(_OUTCOMES, (run,)):
        _testcase(xml, row)
    for text in stale:
        _start(xml, "testcase", {"classname": "known_failures", "name": text})
        _element(xml, "failure", {"type": "stale", "message": text})
        xml.endElement("testcase")
    xml.endElement("testsuite")
    xml.endElement("testsuites")
    xml.endDocument()


_SUMS = f"""SELECT count(*), sum(status IN ({", ".join(f"'{s}'" for s in sorted(_FAILURES))})),
    sum(status IN ('{Status.UNSUPPORTED}', '{Status.KNOWN_FAILURE}')) FROM outcome WHERE run = ?"""


_PROPERTIES = (
    "status", "support", "gate", "error_units", "compared", "unchecked", "suspect", "reproducible", "accumulator",
    "intermediate", "intermediate_roundings", "tf32", "numerics_note",
)  # fmt: skip
# a worker's time is that of a whole case: each of its passes is given an equal part, so that JUnit's sum is right
_OUTCOMES = """SELECT *, seconds / (SELECT count(*) FROM outcome AS o WHERE o.run = outcome.run
    AND o.case_id = outcome.case_id AND o.backend = outcome.backend) AS part_s FROM outcome WHERE run = ?"""


def _testcase(xml: XMLGenerator, row: Row) -> None:
    name = {"classname": f"{row['operation']}.{row['backend']}", "name": f"{row['case_id']}[{row['pass']}]"}
    _start(xml, "testcase", {**name, "time": f"{row['part_s']:.6f}"})
    if row["status"] in _FAILURES:
        _element(xml, "failure", {"type": row["status"], "message": row["message"]})
    elif row["status"] == Status.KNOWN_FAILURE:
        _element(xml, "skipped", {"type": "known_failure", "message": row["known"]})
    elif row["status"] == Status.UNSUPPORTED:
        _element(xml, "skipped", {"type": "unsupported", "message": row["reason"]})
    _start(xml, "properties", {})
    for key in _PROPERTIES:
        if row[key] is not None:
            _element(xml, "property", {"name": key, "value": str(row[key])})
    xml.endElement("properties")
    xml.endElement("testcase")


def _start(xml: XMLGenerator, name: str, attributes: dict[str, str]) -> None:
    xml.startElement(name, AttributesImpl({k: _legal(v) for k, v in attributes.items()}))


def _element(xml: XMLGenerator, name: str, attributes: dict[str, str]) -> None:
    _start(xml, name, attributes)
    xml.endElement(name)


def _legal(text: str) -> str:
    """Replace what XML 1.0 has no way to write."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "�"
        for c in text
    )
