"""A run for other programs: tables, a summary for a build's page, a badge. Row by row, so that no run is too large."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from xml.sax.saxutils import escape

import msgspec

from convsuite.changes import COUNTED_ONLY, Changes, Kind, changes
from convsuite.diff import described
from convsuite.errors import ConvsuiteError
from convsuite.exports import junit_to
from convsuite.store import is_database, read_store
from convsuite_reports import frames, gathered, runinfo
from convsuite_reports.marks import FOUND, RIGHT, Mark
from convsuite_reports.needed import needed
from convsuite_reports.verdict import more, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from convsuite.store import Store

_SHOWN = 20  # findings, and changes of a kind, in a summary
_BATCH = 20_000  # rows of a Parquet file's group


def run_export(form: str, db: Path, out: Path | None, run: int | None) -> None:
    """Write a run in some form to a file, or to standard output. Raise ConvsuiteError where it cannot be."""
    if out is not None and is_database(out):
        raise ConvsuiteError(f"{out}: is a database, and left as it is; name another file with -o")
    with closing(read_store(db)) as store:
        number = runinfo.chosen(store, run)
        if form == "parquet":
            _to_parquet(store, number, out)
        elif out is None:
            _WRITERS[form](sys.stdout, store, number)
        else:
            try:
                with out.open("w", encoding="utf-8", newline="") as file:
                    _WRITERS[form](file, store, number)
            except OSError as error:
                raise ConvsuiteError(f"{out}: cannot be written: {error.strerror}") from None


def _rows(store: Store, run: int) -> Iterator[dict[str, Any]]:
    """Yield outcomes, with the columns of `convsuite_reports.outcomes`."""
    for row in store.rows(frames.OUTCOME_ROWS.format("run = ?"), (run,)):
        yield {name: row[name] for name in frames.OUTCOMES}


def _to_csv(file: TextIO, store: Store, run: int) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(frames.OUTCOMES)
    writer.writerows(row.values() for row in _rows(store, run))


def _to_json(file: TextIO, store: Store, run: int) -> None:
    """Write an object a line; an infinity becomes null, which is what strict JSON has."""
    encode = msgspec.json.Encoder().encode
    file.writelines(encode(row).decode() + "\n" for row in _rows(store, run))


def _to_parquet(store: Store, run: int, out: Path | None) -> None:
    if out is None:
        raise ConvsuiteError("parquet is no text: name a file with -o")
    arrow, parquet = (needed(m, "parquet", "parquet") for m in ("pyarrow", "pyarrow.parquet"))
    kinds = {"Int64": arrow.int64(), "float64": arrow.float64(), "boolean": arrow.bool_()}
    schema = arrow.schema([(name, kinds.get(kind, arrow.string())) for name, kind in frames.OUTCOMES.items()])
    truths = [name for name, kind in frames.OUTCOMES.items() if kind == "boolean"]
    try:
        with parquet.ParquetWriter(out, schema) as writer:
            batch: list[dict[str, Any]] = []
            for row in _rows(store, run):
                batch.append(row | {name: None if row[name] is None else bool(row[name]) for name in truths})
                if len(batch) == _BATCH:
                    writer.write_table(arrow.Table.from_pylist(batch, schema))
                    batch.clear()
            writer.write_table(arrow.Table.from_pylist(batch, schema))
    except OSError as error:
        raise ConvsuiteError(f"{out}: cannot be written: {error.strerror or error}") from None


def _to_markdown(file: TextIO, store: Store, run: int) -> None:
    """Write what a build's summary page shows: verdict, a line for each backend, findings, and what changed."""
    found = _gathered(store, run)
    file.write(f"## {verdict(found)}\n\n{more(found)}\n\n")
    state = runinfo.run_of(store, run).state
    file.write("" if state == "finished" else f"**This run was not finished: {plain(state)}.**\n\n")
    columns = ("checks", "right", "unsupported", "known failures", "findings")
    file.write(f"| backend | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}\n")
    for name in found.backends:
        counts = found.counts[name]
        right, wrong = (sum(counts[mark] for mark in marks) for marks in (RIGHT, FOUND))
        numbers = (sum(counts.values()), right, counts[Mark.UNSUPPORTED], counts[Mark.KNOWN], wrong)
        file.write(f"| {plain(name)} | {' | '.join(f'{n:,}' for n in numbers)} |\n")
    if found.all_found:
        file.write("\n### Findings\n\n")
        file.writelines(f"- {plain(_told(one))}\n" for one in found.findings[:_SHOWN])
        hidden = len(found.findings) + found.hidden - _SHOWN
        file.write(f"- and {hidden:,} more\n" if hidden > 0 else "")
        file.writelines(f"- {plain(f'stale known failure: {one}')}\n" for one in found.stale)
    before = runinfo.before(store, run)
    if before is not None:
        _changed(file, changes((store, before, f"run {before}"), (store, run, f"run {run}")))


def _told(one: gathered.Finding) -> str:
    return f"{one.case_id} [{', '.join(one.passes)}] on {one.backend}: {one.status}: {one.message}"


def _changed(file: TextIO, found: Changes) -> None:
    file.write(f"\n### Since {found.before.name}\n\n")
    file.writelines(f"- {plain(f'{name}: {was} → {now}')}\n" for name, was, now in found.about)
    for kind, number in sorted(found.counts.items(), key=lambda item: list(Kind).index(item[0])):
        file.write(f"- **{number:,} {kind.plural}**\n")
        kept = [] if kind in COUNTED_ONLY else found.kept[kind][:_SHOWN]
        file.writelines(f"  - {plain(described(change))}\n" for change in kept)
    if not found.counts:
        file.write("No difference.\n")


def plain(text: str) -> str:
    """Return text that Markdown shows as it is: one line, no markup, no cell's end."""
    line = " ".join(text.split())[:300]
    return "".join(f"\\{c}" if c in "\\`*_[]|~#" else c for c in line.replace("&", "&amp;").replace("<", "&lt;"))


def _to_badge(file: TextIO, store: Store, run: int) -> None:
    """Write a badge: how many checks were right, or how many findings there are."""
    found = _gathered(store, run)
    right = sum(found.total()[mark] for mark in RIGHT)
    many = f"{found.all_found:,} finding{'' if found.all_found == 1 else 's'}"
    words, colour = (many, "#b3261e") if found.all_found else (f"{right:,} right", "#1b6b4a")
    if not found.all_found and runinfo.run_of(store, run).state != "finished":
        words, colour = f"not finished, {words}", "#5a616b"
    file.write(badge("convsuite", words, colour))


def badge(left: str, right: str, colour: str) -> str:
    """Return two words side by side as SVG, the second on a colour."""
    first, second = (round(6.7 * len(text)) + 14 for text in (left, right))
    whole = first + second
    left, right = escape(left), escape(right)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" '
        f'aria-label="{left}: {right}">'
        f"<title>{left}: {right}</title>"
        f'<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{first}" height="20" fill="#40464e"/>'
        f'<rect x="{first}" width="{second}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{first / 2:g}" y="14">{left}</text>'
        f'<text x="{first + second / 2:g}" y="14">{right}</text></g></svg>\n'
    )


def _gathered(store: Store, run: int) -> gathered.Gathered:
    found = gathered.Gathered(gathered.backends_of(store, run))
    for _ in gathered.gather(store, run, found):
        pass
    return found


_WRITERS: dict[str, Callable[[TextIO, Store, int], None]] = {
    "csv": _to_csv,
    "json": _to_json,
    "junit": junit_to,
    "markdown": _to_markdown,
    "badge": _to_badge,
}
