"""A run's sums."""

from __future__ import annotations

import math
from dataclasses import replace

from convsuite.case import FINDINGS, Agreement, Outcome, Pass, Status, Support, Verdict
from convsuite.run import Report
from convsuite.tally import Tally

OUTCOME = Outcome(
    case_id="conv/a", operation="conv", dtype="float32", pass_=Pass.FORWARD, backend="torch", device="cpu",
    status=Status.PASSED, support=Support.native(),
)  # fmt: skip
AGREEMENT = Agreement(
    case_id="conv/a", operation="conv", pass_=Pass.FORWARD, left="jax", right="torch", identical=True, units=0.0
)


def summed(*outcomes: Outcome, agreements: tuple[Agreement, ...] = ()) -> Tally:
    tally = Tally()
    tally.add(Report(case=None, outcomes=outcomes, agreements=agreements))
    return tally


def test_every_status_counts_and_the_right_ones_are_findings() -> None:
    tally = summed(*(replace(OUTCOME, status=s) for s in Status))
    assert tally.total() == len(Status)
    assert [tally.total(s) for s in Status] == [1] * len(Status)
    assert tally.found == len(FINDINGS) == len(tally.findings)
    assert {f.outcome.status for f in tally.findings} == set(FINDINGS)


def test_a_stale_entry_is_a_finding_too() -> None:
    tally = summed(OUTCOME)
    assert tally.found == 0
    tally.stale.append("torch.yaml: 'x' matches no case")
    assert tally.found == 1


def test_passes_that_came_to_the_same_stand_together_others_apart() -> None:
    bad = replace(OUTCOME, status=Status.ERROR, message="no")
    tally = summed(
        bad, replace(bad, pass_=Pass.GRAD_BIAS), replace(bad, pass_=Pass.GRAD_INPUT, message="never"),
        replace(bad, backend="jax"), OUTCOME,
    )  # fmt: skip
    assert [(f.outcome.backend, f.outcome.message, f.passes) for f in tally.findings] == [
        ("torch", "no", (Pass.FORWARD, Pass.GRAD_BIAS)),
        ("torch", "never", (Pass.GRAD_INPUT,)),
        ("jax", "no", (Pass.FORWARD,)),
    ]
    assert tally.found == 4


def test_memory_is_bounded_the_count_is_not() -> None:
    tally = Tally()
    for i in range(600):
        tally.add(Report(case=None, outcomes=(replace(OUTCOME, case_id=str(i), status=Status.CRASH),)))
    assert (len(tally.findings), tally.found) == (500, 600)


def test_agreement() -> None:
    apart = [replace(AGREEMENT, case_id=f"conv/{u}", identical=False, units=u) for u in (2.0, math.inf, 3.0)]
    (pair,) = summed(agreements=(AGREEMENT, *apart)).pairs.values()
    assert (pair.compared, pair.identical, pair.units, pair.worst_case) == (4, 1, math.inf, "conv/inf")


def test_suspects_unchecked_torn_and_what_works_now() -> None:
    odd = Verdict(gate="guaranteed", right=True, message="", compared=1, unchecked=3, suspect=True)
    tally = summed(
        replace(OUTCOME, verdict=odd, reproducible=False),
        replace(OUTCOME, reproducible=True, support=Support.unsupported("no dilation")),
        replace(OUTCOME, status=Status.UNSUPPORTED, support=Support.unsupported("no groups")),
    )
    assert tally.suspects == {("conv", "torch"): 1}
    assert tally.unchecked == {"torch": 3}
    assert tally.irreproducible == {"torch": 1}
    assert tally.works_now == {("torch", "no dilation"): 1}
