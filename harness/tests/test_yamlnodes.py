from __future__ import annotations

import math
import sys

import pytest

from convsuite import yamlnodes
from convsuite.errors import CaseFileError
from convsuite.yamlnodes import MAX_DEPTH, parse


def refused(text: str) -> str:
    with pytest.raises(CaseFileError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("1e-3", 1e-3),
        ("1E3", 1e3),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("+1", 1),
        ("017", 17),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("-", "-"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
    ],
)
def test_scalars_follow_yaml_1_2(written: str, value: object) -> None:
    got = parse(f"[{written}]", "f.yaml").value[0]
    assert (type(got), got) == (type(value), value)


def test_nan_is_a_float() -> None:
    assert math.isnan(parse(".nan", "f.yaml").value)


def test_nodes_know_their_places() -> None:
    root = parse("a: 1\nb:\n  - {c: [x, y]}\n", "f.yaml")
    at = {path: (n.line, n.column) for path in [("a",), ("b", 0), ("b", 0, "c", 1)] for n in [root.at(path)]}
    assert at == {("a",): (1, 4), ("b", 0): (3, 5), ("b", 0, "c", 1): (3, 13)}
    assert root.keys == {"a": (1, 1), "b": (2, 1)}


def test_at_stops_at_the_last_part_that_is_there() -> None:
    root = parse("a: {b: [5]}", "f.yaml")
    assert root.at(("a", "b", 7, "c")).value == [5]


def test_leaf_reads_nested_lists_in_order() -> None:
    root = parse("[[1, 2], [3, [4]], 5]", "f.yaml")
    assert [root.leaf(i).value for i in range(5)] == [1, 2, 3, 4, 5]


def test_an_alias_is_its_anchor_again_and_counts_again() -> None:
    root = parse("a: &x [1, 2]\nb: *x", "f.yaml")
    assert root.value == {"a": [1, 2], "b": [1, 2]}
    assert root.size == 1 + 2 + 2 * 3  # the mapping, its keys, the list twice
    assert root.fields is not None
    assert root.fields["a"].size == 3


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [{','.join(['*' + above] * 10)}]\n" for above, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        pytest.param("", "1:1", "empty", id="empty"),
        pytest.param("# nothing\n\n", "1:1", "empty", id="comments"),
        pytest.param("a: 1\n---\nb: 2", "2:1", "second YAML document", id="documents"),
        pytest.param("a: 1\nb: 2\na: 3", "3:1", "a is given twice; the first is on line 1", id="duplicate key"),
        pytest.param("a: &x [*x]", "1:8", "never end", id="recursive alias"),
        pytest.param("a: *x", "1:4", "no anchor", id="unknown alias"),
        pytest.param(BOMB, "6:", "1,000,000", id="alias bomb"),
        pytest.param(
            "a: !!python/object/apply:os.system [x]", "1:4", "!!python/object/apply:os.system", id="python tag"
        ),
        pytest.param("a: 1\nb: !mine {}", "2:4", "tag !mine", id="unknown tag"),
        pytest.param("[" * 100_000, f"1:{MAX_DEPTH + 1}", "nested more than 64 deep", id="flow depth"),
        pytest.param("- " * 100_000 + "x", f"1:{2 * MAX_DEPTH + 1}", "nested more than 64 deep", id="block depth"),
        pytest.param("a:\n  - x\n\t- y", "3:1", "tab", id="tab"),
        pytest.param("\ta: 1", "1:1", "tab", id="tab first"),
        pytest.param("a: é\x00", "1:5", "U+0000", id="control character"),
        pytest.param("1: x", "1:1", "a key must be a word, not 1", id="number as key"),
        pytest.param("? [a]\n: x", "1:3", "a key must be a word", id="list as key"),
        pytest.param("a: &d {}\nb: {<<: *d}", "2:5", "merge keys", id="merge key"),
        pytest.param("a: [1, 2", "1:9", "the file ends while parsing a flow sequence", id="unclosed"),
        pytest.param("a: b: c", "1:5", "not YAML: mapping values are not allowed", id="two colons"),
        pytest.param("a: " + "9" * 5000, "1:4", "an integer of 5000 digits", id="digits"),
    ],
)
def test_what_is_refused_and_where(text: str, where: str, words: str) -> None:
    message = refused(text)
    assert message.startswith(f"f.yaml:{where}")
    assert words in message
    assert "\n" not in message


def test_a_tag_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("os.system", ran.append)
    refused("!!python/object/apply:os.system [echo]")
    assert ran == []


def test_the_bound_counts_plain_values_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamlnodes, "MAX_NODES", 4)
    assert parse("[1, 2, 3]", "f.yaml").size == 4
    assert "more than 4 values" in refused("[1, 2, 3, 4]")


def test_without_the_c_parser_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    text = "a: &x [1, .5, no, {b: é}]\nc: *x\n"
    fast = parse(text, "f.yaml")
    monkeypatch.setattr(yamlnodes, "_BASE", yaml.SafeLoader)
    slow = parse(text, "f.yaml")
    assert slow.value == fast.value
    assert slow.at(("a", 3, "b")).column == fast.at(("a", 3, "b")).column
    assert "nested more than" in refused("[" * 5000)
    assert sys.getrecursionlimit() >= 1000
