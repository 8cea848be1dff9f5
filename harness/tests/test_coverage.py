"""Coverage: the shipped cases leave no pair out, and a pair that is left out is found."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from convsuite import casefile, coverage
from convsuite.case import Case, Origin
from convsuite.cli import main
from convsuite.coverage import Coverage, Missing, describe
from convsuite.operations import OPERATIONS, conv
from convsuite.operations.axes import Value
from convsuite.operations.common import Common
from convsuite.operations.conv import ConvEntry

AXES = {name: operation.AXES for name, operation in OPERATIONS.items()}


def pairs(cases: Iterable[Case], operation: str = "conv") -> Coverage:
    return coverage.pairs(cases, operation)


def case(**entry: Any) -> Case:
    written = msgspec.convert({"name": "x", "input": [6, 6], "kernel": 3, **entry}, ConvEntry)
    return conv.resolve(written, Common(id="conv/t/x", origin=Origin(file="t.yaml", line=1)))


@cache
def default_cases() -> tuple[Case, ...]:
    return tuple(c for c in casefile.builtin().cases if c.level in ("smoke", "default"))


def found(cases: list[Case], first: str, second: str) -> bool:
    """Whether a pair, written as axis=value, is touched."""
    return Missing(_value(first), _value(second)) not in pairs(cases).missing


def _value(text: str) -> Value:
    axis, _, name = text.partition("=")
    return Value(axis, name)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_default_level_leaves_no_pair_out(operation: str) -> None:
    covered = pairs(default_cases(), operation)
    assert covered.missing == ()
    assert covered.covered == covered.possible > 0


@pytest.mark.parametrize("file", ["pairs.yaml", "memory.yaml", "integers.yaml"])
def test_pairs_are_missing_without_a_file(file: str) -> None:
    left = [c for c in default_cases() if Path(c.origin.file).name != file]
    assert 0 < len(left) < len(default_cases())
    assert len(pairs(left).missing) > 10


def test_no_case_touches_no_pair() -> None:
    covered = pairs([])
    assert covered.covered == 0
    assert len(covered.missing) == covered.possible


def test_a_pair_is_touched_by_a_case_that_has_both() -> None:
    assert not found([case(stride=2), case(dilation=2)], "stride=over 1", "dilation=over 1")
    assert found([case(stride=2, dilation=2)], "stride=over 1", "dilation=over 1")


def test_passes_are_paired_with_all_else_but_not_with_one_another() -> None:
    one = case(passes=["forward", "grad_input"], dtype="float64")
    assert found([one], "dtype=float64", "pass=forward")
    assert found([one], "dtype=float64", "pass=grad_input")
    assert not found([one], "dtype=float64", "pass=grad_weight")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"kernel": 1}, "kernel=1"),
        ({"kernel": 2}, "kernel=even"),
        ({"kernel": [3, 1]}, "kernel=unequal"),
        ({"stride": [1, 2]}, "stride=unequal"),
        ({"dilation": 2}, "dilation=over 1"),
        ({"padding": "causal"}, "padding=causal"),
        ({"padding": 1}, "padding=symmetric"),
        ({"padding": [[0, 1], 0]}, "padding=asymmetric"),
        ({"padding": [[2, -1], 0]}, "padding=negative"),
        ({"padding": ["same_lower", "valid"]}, "padding=unequal"),
        ({"channels": 4, "groups": 2}, "groups=grouped"),
        ({"channels": 4, "groups": 4}, "groups=depthwise"),
        ({"channels": {"in": 4, "out": 8}, "groups": 4}, "groups=multiplier"),
        ({"channels": {"in": 1, "out": 8}}, "groups=1"),
        ({"batch": 3}, "batch=several"),
        ({"memory_format": {"weight": "sliced"}}, "memory of weight=sliced"),
    ],
)
def test_a_case_has_the_value_that_it_says(entry: dict[str, Any], value: str) -> None:
    axis, _, name = value.partition("=")
    of = next(a.of for a in AXES["conv"] if a.name == axis)
    assert of(case(**entry)) == (name,)


def test_what_does_not_concern_a_case_is_not_counted() -> None:
    literal = case(input={"values": [[1, 2], [3, 4]]}, kernel={"values": [[1]]})
    assert not found([literal], "rank=2", "fill=integers")
    assert not found([case(batch=0)], "rank=2", "batch=several")
    assert pairs([case(stride=0, expect={"error": "stride"})]).cases == 0


def test_impossible_pairs_are_neither_possible_nor_missing_and_say_why() -> None:
    never = {frozenset((a, b)) for e in conv.EXCLUSIONS for a in e.firsts for b in e.seconds}
    missing = {frozenset((m.first, m.second)) for m in pairs([]).missing}
    assert frozenset((_value("dtype=int8"), _value("pass=grad_input"))) in never
    assert frozenset((_value("dtype=int32"), _value("fill=normal"))) in never
    assert never.isdisjoint(missing)
    assert all(e.reason for e in pairs([]).impossible)


def test_exclusions_name_values_that_exist() -> None:
    known = {Value(a.name, name) for axes in AXES.values() for a in axes for name in a.values}
    for operation in OPERATIONS.values():
        excluded = coverage.pairs([], operation.NAME).impossible
        assert len(excluded) == len(operation.EXCLUSIONS), "one excludes nothing that the operation has"
        assert {v for e in excluded for v in (*e.firsts, *e.seconds)} <= known


def test_no_shipped_case_has_a_value_that_its_axis_does_not_list() -> None:
    for shipped in casefile.builtin().cases:
        if shipped.expect.error is None:
            for axis in AXES[shipped.operation]:
                assert set(axis.of(shipped)) <= set(axis.values), (shipped.id, axis.name)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_excluded_is_in_no_case(operation: str) -> None:
    """Two exceptions: the passes of one case share its operands, and a mode may be named where nothing is padded."""
    shipped = [c for c in default_cases() if c.operation == operation and not c.expect.error]
    touched = {frozenset(pair) for c in shipped for pair in coverage._touched(AXES[operation], c)}
    for exclusion in coverage.pairs([], operation).impossible:
        pair = frozenset((exclusion.firsts[0], exclusion.seconds[0]))
        if "pass" not in {v.axis for v in pair} and "padding_mode" not in {v.axis for v in pair}:
            assert pair not in touched, exclusion.reason


def test_the_text_names_each_missing_pair_and_each_reason() -> None:
    covered = pairs([c for c in default_cases() if c.fill != "ramp"])
    text = describe(covered).splitlines()
    assert text[0].endswith(f"{len(covered.missing)} missing")
    assert "  missing: rank=1 with fill=ramp" in text
    assert "  dtype=int8 with fill=normal|wide|cancelling|special: int8 cannot hold such numbers" in text
    assert len(text) == 2 + len(covered.missing) + len(conv.EXCLUSIONS)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(KeyError):
        pairs([], "nonsense")


def test_the_command_counts_the_operation_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = coverage.pairs
    monkeypatch.setattr(coverage, "pairs", lambda cases, operation: asked.append(operation) or real(cases, operation))
    (tmp_path / "f.yaml").write_text("operation: conv\ncases: [{name: a, input: 6, kernel: 3}]\n")
    done = CliRunner().invoke(main, ["coverage", "conv", "--cases", str(tmp_path)])
    assert done.output.startswith("conv: 1 cases touch")
    assert asked == ["conv"]


def test_the_command_refuses_an_operation_that_there_is_not() -> None:
    done = CliRunner().invoke(main, ["coverage", "nosuch"])
    assert done.exit_code == 2
    assert "'nosuch' is not 'conv'" in done.output or "'nosuch' is not one of" in done.output
