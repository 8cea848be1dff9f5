from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convsuite import casefile
from convsuite.case import Case
from convsuite.errors import SelectorError
from convsuite.selectors import Selector, glob_matches, known_keys, levels_up_to, parse

FILES = {
    "basic.yaml": """operation: conv
defaults: {input: 8, kernel: 3}
cases:
  - {name: plain, level: smoke}
  - name: strided
    bias: true
    passes: [forward, grad_bias]
    sweep: {stride: [1, 2, [2, 3]], dtype: [float32, float64]}
  - {name: stride_zero, stride: 0, expect: {error: stride}, tags: [invalid]}
  - name: sliced
    memory_format: {input: sliced}
    padding: [same, 1]
    padding_mode: reflect
    batch: 2
    channels: {in: 4, out: 6}
""",
    "basic2.yaml": """operation: conv
cases:
  - {name: line, input: [9], kernel: [2], rank: 1, flip: true, channels: 3, groups: 3}
""",
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    folder: Path = tmp_path_factory.mktemp("cases")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return casefile.load([folder]).cases


def names(selected: tuple[Case, ...]) -> list[str]:
    return [c.id.removeprefix("conv/") for c in selected]


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ([], 10),
        (["conv"], 10),
        (["conv/basic"], 9),
        (["conv/basic/"], 9),
        (["conv/basic/strided"], 6),  # a front, at a boundary
        (["conv/basic/strided/stride=2"], 2),
        (["conv/basic/strided/stride=2,dtype=float64"], 1),
        (["*strided*"], 6),
        (["conv/basic/*"], 9),
        (["conv/basic?/*"], 1),
        (["conv/*/[ps]l*"], 2),
        (["conv/basic/plain", "conv/basic2"], 2),
        (["stride=2"], 2),
        (["stride=2x2"], 2),
        (["stride=2x3"], 2),
        (["stride=1", "stride=2"], 7),
        (["stride!=1"], 5),
        (["stride!=1", "stride!=2"], 3),
        (["conv/basic", "dtype=float64"], 3),
        (["dtype=float*"], 10),
        (["pass=grad_bias"], 6),
        (["pass!=grad_bias"], 4),
        (["tag=invalid"], 1),
        (["tag!=invalid"], 9),
        (["error=stride"], 1),
        (["error=none"], 9),
        (["bias=true"], 6),
        (["flip=true"], 1),
        (["level=smoke"], 1),
        (["rank=1"], 1),
        (["groups=3"], 1),
        (["kernel=2"], 1),
        (["kernel=3", "rank=2"], 9),
        (["padding=same_upperxexplicit"], 1),
        (["padding_mode=reflect"], 1),
        (["memory_format=sliced"], 1),
        (["memory_format=contiguous"], 9),
        (["batch=2"], 1),
        (["channels=4x6"], 1),
        (["channels=3"], 1),
        (["size=9"], 1),
        (["operation=conv"], 10),
        (["layout=default"], 10),
        (["fill=integers"], 10),
    ],
)
def test_what_is_selected(cases: tuple[Case, ...], texts: list[str], count: int) -> None:
    assert len(parse(texts).select(cases)) == count


def test_the_order_is_the_cases_and_none_comes_twice(cases: tuple[Case, ...]) -> None:
    selected = parse(["conv/basic2", "conv/basic/plain", "conv/*/plain"]).select(cases)
    assert names(selected) == ["basic/plain", "basic2/line"]


def test_every_id_selects_itself_alone(cases: tuple[Case, ...]) -> None:
    for case in cases:
        assert parse([case.id]).select(cases) == (case,)


def test_globs_mind_the_case_of_letters() -> None:
    assert not glob_matches("CONV/*", "conv/basic/plain")
    assert not glob_matches("conv/bas", "conv/basic/plain")


@pytest.mark.parametrize("text", ["strid=2", "strid!=2"])
def test_an_unknown_key(text: str) -> None:
    with pytest.raises(
        SelectorError, match=r"strid is no key to select by; did you mean stride\?; known are .*batch, bias"
    ):
        parse([text])


def test_an_unknown_key_that_is_near_none() -> None:
    with pytest.raises(SelectorError) as caught:
        parse(["zzz=2"])
    assert str(caught.value) == f"zzz is no key to select by; known are {', '.join(known_keys())}"


def test_an_empty_selector() -> None:
    with pytest.raises(SelectorError, match="an empty selector"):
        parse([""])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["nope"], "nope"),
        (["conv/basic/plain", "conv/nope/*"], "conv/nope/\\*"),
        (["conv/basic2", "stride!=1"], "conv/basic2 stride!=1"),
    ],
)
def test_nothing_selected_is_an_error(cases: tuple[Case, ...], texts: list[str], said: str) -> None:
    with pytest.raises(
        SelectorError, match=f"^{said} matches none of 10 cases; `convsuite list cases` lists what there is$"
    ):
        parse(texts).select(cases)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["dtype=float31"],
            "dtype=float31 matches none of 10 cases; did you mean float32?; there are float32, float64",
        ),
        (["stride=big"], "stride=big matches none of 10 cases; there are 0, 1, 2, 2x3"),
        (["error=strid"], "error=strid matches none of 10 cases; did you mean stride?; there are none, stride"),
        (["conv/basic2", "stride=2"], "stride=2 matches none of 1 case; there are 1"),
        (["dtype=float32", "dtype=int8"], "dtype=int8 matches none of 10 cases; there are float32, float64"),
        (["tag=x", "conv/basic2"], "tag=x matches none of 1 case; none of them has tag"),
    ],
)
def test_a_value_that_no_case_has(cases: tuple[Case, ...], texts: list[str], said: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(texts).select(cases)
    assert str(caught.value) == said


def test_of_many_values_the_first_are_told(cases: tuple[Case, ...]) -> None:
    many = [replace(cases[0], seed=seed) for seed in range(30, 0, -1)]
    with pytest.raises(SelectorError, match=r"there are 1, 2, 3, .*, 19, 20, … \(30 in all\)$"):
        parse(["seed=x"]).select(many)


@pytest.mark.parametrize("text", ["stride=", "stride!="])
def test_a_term_without_a_value(text: str) -> None:
    with pytest.raises(SelectorError, match=f"^{text} has no value; a term is key=value, e.g. dtype=float32$"):
        parse([text])


@pytest.mark.parametrize("text", ["=3", "!=3"])
def test_a_term_without_a_key(text: str) -> None:
    with pytest.raises(SelectorError, match=f"^{text} has no key; say key=value; known keys are .*stride"):
        parse([text])


def test_no_selector_of_no_cases_is_no_error() -> None:
    assert Selector((), ()).select(()) == ()


def test_levels_include_those_before() -> None:
    assert [levels_up_to(level) for level in ("smoke", "default", "full", "real", "large")] == [
        ("smoke",),
        ("smoke", "default"),
        ("smoke", "default", "full"),
        ("smoke", "default", "full", "real"),
        ("smoke", "default", "full", "real", "large"),
    ]
    with pytest.raises(SelectorError, match=r"fulll is no level; did you mean full\?"):
        levels_up_to("fulll")
