"""A large results database, made up: what reports are measured on.

    python benchmarks/make_database.py big.db --outcomes 1000000 --findings 1000
    /usr/bin/time -v convsuite report --db big.db -o big

Cases are those that convsuite ships, again and again under further names; backends are made up. Findings fall on cases
that exist, so that their pages have all that a page can have.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from convsuite import casefile
from convsuite.case import Agreement, Case, Level, Numerics, Outcome, Pass, Status, Support, Verdict
from convsuite.environment import observe
from convsuite.evidence import Element, Evidence, Plane
from convsuite.operations import of
from convsuite.run import Report
from convsuite.store import Store, open_store

BACKENDS = ("jax", "jax:eager", "keras", "keras:jax", "keras:torch", "naive", "numpy_im2col", "tensorflow",
            "tensorflow:no_onednn", "tensorflow:xla", "torch", "torch:channels_last", "torch:compile",
            "torch:no_mkldnn")  # fmt: skip
LACKS = ("no padding mode reflect", "no dilation with a stride", "groups are of one channel only", "no bfloat16")
COMPOSED = ("pad, then convolve", "flip the kernel", "convolve, then add the bias")
KNOWN = tuple(f"made-up defect {i}: the odd row is lost (https://example.org/issues/{i})" for i in range(60))
ADD_BACKEND = "INSERT INTO backend VALUES (?, ?, 'cpu', 'ready', ?, '{}', 1.0)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--findings", type=int, default=1_000)
    asked = parser.parse_args()
    made = make(asked.path, asked.outcomes, asked.findings)
    print(f"{made:,} outcomes, {asked.path.stat().st_size / 1e6:.0f} MB")


def make(path: Path, outcomes: int, findings: int) -> int:
    """Add a run of at least so many outcomes, of which so many are findings; return how many there are."""
    rng = random.Random(0)
    suite = [case for case in casefile.builtin("default").cases if case.expect.error is None]
    among = min(len(suite), max(findings, outcomes // (4 * len(BACKENDS))))  # cases that there will be at least
    due = set(rng.sample(range(among), min(findings, among)))
    with closing(open_store(path)) as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        run = store.begin(observe(1, None), f"made up by {Path(__file__).name}")
        store.add_rows(ADD_BACKEND, [(run, name, f'{{"{name.partition(":")[0]}":"1.0"}}') for name in BACKENDS])
        made = _fill(store, run, suite, outcomes, due, rng)
        store.finish(run, "finished")
    return made


def _fill(store: Store, run: int, suite: list[Case], outcomes: int, due: set[int], rng: random.Random) -> int:
    made = number = 0
    while made < outcomes or number <= max(due, default=0):
        turn, at = divmod(number, len(suite))
        case = suite[at] if not turn else replace(suite[at], id=f"{suite[at].id},again={turn}")
        report = _report(case, number in due, rng)
        store.add(run, report)
        made, number = made + len(report.outcomes), number + 1
    return made


def _report(case: Case, is_found: bool, rng: random.Random) -> Report:
    """Return made-up outcomes of a case; where it is a finding, one backend has it wrong."""
    guilty = rng.choice(BACKENDS) if is_found else ""
    all_ = [_outcome(case, pass_, backend, guilty, rng) for pass_ in case.passes for backend in BACKENDS]
    evidence = tuple(_evidence(case, o) for o in all_ if o.status is Status.MISMATCH)
    return Report(case=case, outcomes=tuple(all_), agreements=tuple(_agreements(all_, rng)), evidence=evidence)


def _outcome(case: Case, pass_: Pass, backend: str, guilty: str, rng: random.Random) -> Outcome:
    chance = rng.random()
    share = rng.lognormvariate(-1.5, 0.6)
    verdict = Verdict(
        gate="guaranteed", right=True, message="", compared=100, error_units=4 * share, guaranteed_share=share / 50,
        expected_share=share, suspect=share > 1,
    )  # fmt: skip
    right = Outcome(
        case_id=case.id, operation=case.operation, dtype=case.dtype, pass_=pass_, backend=backend, device="cpu",
        status=Status.PASSED, support=Support.native(), verdict=verdict, numerics=Numerics(accumulator="float32"),
        reproducible=True, digest=f"{rng.randrange(3):016x}", seconds=0.001,
    )  # fmt: skip
    if backend == guilty and pass_ is case.passes[0]:
        return _wrong(right, rng)
    if chance < 0.35:
        reason = rng.choice(LACKS)
        support = Support(Level.UNSUPPORTED, reason)
        return replace(right, status=Status.UNSUPPORTED, support=support, message=reason, verdict=None, digest="")
    if chance < 0.36:
        return replace(right, status=Status.KNOWN_FAILURE, known=rng.choice(KNOWN), message="3 of 100 wrong")
    return replace(right, support=Support.composed(rng.choice(COMPOSED))) if chance < 0.5 else right


def _wrong(right: Outcome, rng: random.Random) -> Outcome:
    status = rng.choice((Status.MISMATCH, Status.MISMATCH, Status.ERROR, Status.CRASH, Status.TIMEOUT))
    message = f"{rng.randrange(1, 99)} of 100 elements wrong; worst at [0, 0, 1, 1]: got 1, 2 was due"
    verdict = replace(right.verdict, right=False, wrong=3, message=message) if right.verdict else None
    return replace(right, status=status, message=message, verdict=verdict if status is Status.MISMATCH else None)


def _evidence(case: Case, outcome: Outcome) -> Evidence:
    """Return a map whose last column is wrong."""
    shape = of(case).output_shape(case)
    line = "." * 11 + "9"
    got = dict.fromkeys(BACKENDS, "2") | {outcome.backend: "1"}
    return Evidence(
        case_id=case.id, pass_=outcome.pass_.value, backend=outcome.backend, shape=shape,
        planes=tuple(Plane(index=(0, c), block=(1, 1), map="\n".join([line] * 12)) for c in range(4)),
        elements=tuple(Element(index=(0, 0, i, 11), expected="2", got=got) for i in range(8)),
    )  # fmt: skip


def _agreements(outcomes: list[Outcome], rng: random.Random) -> Iterator[Agreement]:
    right = [o for o in outcomes if o.status is Status.PASSED and o.pass_ is outcomes[0].pass_]
    for one, other in combinations(right, 2):
        same = one.digest == other.digest
        yield Agreement(
            case_id=one.case_id, operation=one.operation, pass_=one.pass_, left=one.backend, right=other.backend,
            identical=same, units=0.0 if same else rng.lognormvariate(0, 1),
        )  # fmt: skip


if __name__ == "__main__":
    main()
