"""Time numpy_im2col beside the frameworks and print the tables of docs/engine.md.

    python benchmarks/engine.py                          all of it: about an hour, on a machine with nothing else to do
    python benchmarks/engine.py networks --processes 1   a look
    python benchmarks/engine.py --table                  print again what was timed before

Each table is one `convsuite bench`: every backend in processes of its own, in turns, on as many cores as threads.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from math import isnan
from pathlib import Path

from convsuite.bench import units
from convsuite.bench.estimate import mean_ratio, middle
from convsuite.bench.records import Cell, suite_of
from convsuite.bench.summary import Times
from convsuite.case import Pass
from convsuite.store import read_store

CONVSUITE = Path(sys.executable).with_name("convsuite")
CASES = Path(__file__).parents[1] / "cases" / "convsuite_cases"
OURS = "numpy_im2col"
NETWORKS = ("resnet_50_v1_5", "vgg_19", "unet", "googlenet_v3", "mobilenet", "1d_wavenet")
POOLS = tuple(f"{kind}_pool/{suite}" for kind in ("max", "avg") for suite in ("resnet_50_v1_5", "googlenet_v3"))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bench, and what its table says of it."""

    title: str
    ours: str = OURS
    suites: tuple[str, ...]  # operation/file
    others: tuple[str, ...] = ("torch",)
    passes: tuple[str, ...] = ("forward",)
    threads: int = 1
    batch: int = 1


CONVS = tuple(f"conv/{name}" for name in NETWORKS)
PARTS = {
    "networks": Part(
        title="Forward, batch 1, one thread",
        suites=CONVS,
        others=("torch", "tensorflow", "jax"),
    ),
    "depthwise": Part(
        title="Depthwise, forward, batch 1, one thread",
        suites=("depthwise_conv/mobilenet",),
        others=("torch", "tensorflow", "jax"),
    ),
    "volumes": Part(title="Forward, batch 1, one thread, three axes", suites=("conv/3d_unet",)),
    "winograd": Part(
        title="numpy_im2col:winograd, forward, batch 1, one thread",
        ours="numpy_im2col:winograd",
        suites=("conv/vgg_19", "conv/resnet_50_v1_5", "conv/unet"),
    ),
    "pools": Part(title="Pools, batch 1, one thread", suites=POOLS),
    "gradients": Part(
        title="Gradients, batch 1, one thread", suites=("conv/resnet_50_v1_5",), passes=("grad_input", "grad_weight")
    ),
    "threads": Part(title="Forward, batch 1, two threads", suites=CONVS, threads=2),
    "depthwise_threads": Part(
        title="Depthwise, forward, batch 1, two threads", suites=("depthwise_conv/mobilenet",), threads=2
    ),
    "batch": Part(title="Forward, batch 8, one thread", suites=(*CONVS, "depthwise_conv/mobilenet"), batch=8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which tables; all by default")
    parser.add_argument("--processes", type=int, default=3, help="of each backend")
    parser.add_argument(
        "--results", type=Path, default=Path("engine_times"), help="folder of the databases, one a table"
    )
    parser.add_argument("--table", action="store_true", help="time nothing: print what the database has")
    parser.add_argument("--layers", action="store_true", help="print each layer, too")
    asked = parser.parse_args()
    asked.results.mkdir(exist_ok=True)
    for name in asked.parts or PARTS:
        db = asked.results / f"{name}.db"
        if not asked.table:
            _bench(PARTS[name], db, asked.processes)
        if db.is_file():
            _print(PARTS[name], db, asked.layers)


def _bench(part: Part, db: Path, processes: int) -> None:
    """Time a part; what the bench shows meanwhile goes to standard error."""
    with tempfile.TemporaryDirectory() as folder:
        _write_cases(part, Path(folder))
        words = [word for backend in (part.ours, *part.others) for word in ("--backend", backend)]
        words += [word for pass_ in part.passes for word in ("--pass", pass_)]
        words += ["--threads", str(part.threads), "--processes", str(processes), "--vs", "torch", "--db", str(db)]
        done = subprocess.run([CONVSUITE, "bench", "--cases", folder, *words], check=False, stdout=sys.stderr)
        if done.returncode not in (0, 1):  # 1: some answer was wrong and has no time
            raise SystemExit(f"the bench ended with {done.returncode}")


def _write_cases(part: Part, folder: Path) -> None:
    """Write a part's cases into a folder, with its batch."""
    for suite in part.suites:
        text = (CASES / f"{suite}.yaml").read_text(encoding="utf-8")
        if part.batch != 1:
            if "defaults:\n" not in text or "batch:" in text:
                raise SystemExit(f"{suite}: where its batch goes is not known")
            text = text.replace("defaults:\n", f"defaults:\n  batch: {part.batch}\n")
            text = text.replace("shape: [1, ", f"shape: [{part.batch}, ")
        path = folder / f"{suite}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _print(part: Part, db: Path, layers: bool) -> None:
    """Print the table of a database's last run."""
    with closing(read_store(db)) as store:
        times = Times.of_run(store, next(store.rows("SELECT max(run) FROM timing"))[0])
    others = part.others
    print(f"\n**{part.title}**\n")
    print(f"| suite | pass | problems | of peak | {' | '.join(f'÷ {other}' for other in others)} |")
    print(f"|---|---|---:|---:|{'---:|' * len(others)}")
    for suite, pass_ in product(part.suites, map(Pass, part.passes)):
        cells = [cell for cell in times.cells if _is_of(cell, part.ours, suite, pass_)]
        if cells:
            ratios = " | ".join(_ratio(times, cells, other) for other in others)
            print(f"| {suite} | {pass_.value} | {len(cells)} | {_of_peak(times, cells):.0%} | {ratios} |")
    if layers:
        _print_layers(times, part)


def _is_of(cell: Cell, ours: str, suite: str, pass_: Pass) -> bool:
    operation, _, file = suite.partition("/")
    named = (cell.case_id.split("/")[0], suite_of(cell.case_id))
    return cell.backend == ours and cell.pass_ is pass_ and named == (operation, file)


def _ratio(times: Times, cells: Sequence[Cell], other: str) -> str:
    """Return the geometric mean of our time over another's, with its interval."""
    pairs = [(times.cells[cell], times.cells.get(replace(cell, backend=other), [])) for cell in cells]
    found = mean_ratio([(ours, theirs) for ours, theirs in pairs if theirs])
    low, high = found.interval
    return f"{found.value:.2f}" + ("" if isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _of_peak(times: Times, cells: Sequence[Cell]) -> float:
    """Return the share of the matrix product's rate that the suite as a whole reaches."""
    problems = [times.problems[cell.case_id] for cell in cells]
    seconds = sum(p.repeats * middle(times.cells[cell]) for p, cell in zip(problems, cells, strict=True))
    peak = max(p.flops for p in times.peaks if p.dtype == "float32")
    return sum(p.repeats * p.flops for p in problems) / seconds / peak


def _print_layers(times: Times, part: Part) -> None:
    """Print each layer: its time, its share of the matrix product's rate, and the ratios."""
    print(f"\n| layer | pass | time | of peak | {' | '.join(f'÷ {other}' for other in part.others)} |")
    print(f"|---|---|---:|---:|{'---:|' * len(part.others)}")
    for row in times.rows("torch"):
        if row.cell.backend == part.ours:
            ratios = " | ".join(_ratio(times, [row.cell], other) for other in part.others)
            share = f"{row.peak_share:.0%}" if row.peak_share else ""
            median = units.seconds(row.estimate.median)
            print(f"| {row.cell.case_id} | {row.cell.pass_.value} | {median} | {share} | {ratios} |")


if __name__ == "__main__":
    main()
