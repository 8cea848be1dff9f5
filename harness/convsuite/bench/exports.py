"""Times for other programs: one JSON object a cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from convsuite.bench.records import suite_of

if TYPE_CHECKING:
    from convsuite.bench.summary import Row


def json_row(row: Row, base: str) -> str:
    """Return a cell as one line of JSON; times in seconds, rates per second, unknown numbers null."""
    e, cell = row.estimate, row.cell
    found: dict[str, Any] = {
        "case": cell.case_id,
        "suite": suite_of(cell.case_id),
        "repeats": row.problem.repeats,
        "dtype": row.problem.dtype,
        "flops": row.problem.flops,
        "bytes": row.problem.bytes,
        "pass": cell.pass_.value,
        "backend": cell.backend,
        "device": cell.device,
        "threads": cell.threads,
        "mode": cell.mode,
        "median_s": e.median,
        "interval_s": [_number(bound) for bound in e.interval],
        "minimum_s": e.minimum,
        "spread": e.spread,
        "processes": e.processes,
        "samples": e.samples,
        "first_s": e.first_s,
        "second_s": e.second_s,
        "memory_bytes": e.memory_bytes,
        "workspace_bytes": e.workspace_bytes,
        "flops_per_s": row.flops,
        "bytes_per_s": row.bytes,
        "peak_share": row.peak_share,
        "copy_share": row.copy_share,
        "unstable": list(e.unstable),
        "base": base,
        "ratio": _number(row.ratio.value) if row.ratio else None,
        "ratio_interval": [_number(bound) for bound in row.ratio.interval] if row.ratio else None,
        "verdict": row.ratio.verdict.value if row.ratio else None,
    }
    return msgspec.json.encode(found).decode()


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
