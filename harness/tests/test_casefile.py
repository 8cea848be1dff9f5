from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from itertools import combinations, product
from pathlib import Path

import jsonschema
import pytest
import yaml

from convsuite import casefile, caserules, schema, sources, sweep, written
from convsuite.case import Pass, geometry
from convsuite.errors import CaseFileError
from convsuite.operations.conv import ConvCase

DOCS = Path(__file__).parents[2] / "docs" / "case-files.md"


def write(folder: Path, text: str | bytes, name: str = "f.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(folder: Path, text: str | bytes, name: str = "f.yaml") -> tuple[ConvCase, ...]:
    cases = casefile.load([write(folder, text, name)]).cases
    assert all(isinstance(c, ConvCase) for c in cases)
    return cases  # type: ignore[return-value]


def refused(*paths: Path) -> str:
    with pytest.raises(CaseFileError) as caught:
        casefile.load(paths)
    return str(caught.value)


def one(keys: str) -> str:
    """Return a file of one case, whose keys begin at line 3, column 36."""
    return f"operation: conv\ncases:\n  - {{name: a, input: 8, kernel: 3, {keys}}}\n"


def ids(cases: tuple[ConvCase, ...]) -> list[str]:
    return [c.id for c in cases]


# --- what good files mean


def test_a_literal_case(tmp_path: Path) -> None:
    text = """operation: conv
defaults: {dtype: float64}
cases:
  - name: corr2d
    input: {values: [[0, 1, 2], [3, 4, 5], [6, 7, 8]]}
    kernel: {values: [[0, 1], [2, 3]]}
    expect: {values: [[19, 25], [37, 43]]}
    source: hand-computed
"""
    (case,) = load(tmp_path, text, "basic.yaml")
    assert case.id == "conv/basic/corr2d"
    assert (case.dtype, case.source, case.origin.line) == ("float64", "hand-computed", 4)
    assert case.origin.file == str(tmp_path / "basic.yaml")
    assert case.input_shape == (1, 1, 3, 3)
    assert case.expect.values is not None
    assert case.expect.values.values == (19, 25, 37, 43)


def test_shorthand_ends_here(tmp_path: Path) -> None:
    (case,) = load(tmp_path, one("stride: 2, padding: same, dilation: [1, 2]"))
    assert (case.stride, case.dilation, case.padding.kinds) == ((2, 2), (1, 2), ("same_upper", "same_upper"))


def test_defaults_give_way_to_the_case_and_that_to_the_sweep(tmp_path: Path) -> None:
    text = """operation: conv
defaults: {input: {size: 9}, kernel: {size: 3}, stride: 3, dilation: 2, groups: 1}
cases:
  - {name: a, stride: 2, dilation: 1, sweep: {dilation: [3]}}
  - {name: b, kernel: {values: [[1, 2]]}}
"""
    a, b = load(tmp_path, text)
    assert (a.kernel, a.stride, a.dilation) == ((3, 3), (2, 2), (3, 3))
    assert b.kernel == (1, 2)  # a mapping is replaced whole: no `size` is left beside the values
    assert b.stride == (3, 3)


def test_a_sweep_is_a_product_whose_first_key_varies_slowest(tmp_path: Path) -> None:
    cases = load(tmp_path, one("sweep: {stride: [1, [2, 1]], padding: [same, 0, [[1, 2], 0]]}"))
    assert ids(cases) == [f"conv/f/a/stride={s},padding={p}" for s, p in product(("1", "2x1"), ("same", "0", "1_2x0"))]
    assert cases[-1].padding.pads == ((1, 2), (0, 0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1, "1"),
        ([1, 2], "1x2"),
        ([[1, 2], [0, 1]], "1_2x0_1"),
        ([[1, 2], 3], "1_2x3"),
        (-1, "-1"),
        ({"in": 4, "out": 6}, "in_4+out_6"),
        ({"size": [3, 2]}, "size_3x2"),
        ("float32", "float32"),
        (0.5, "0.5"),
        (1e30, "1e30"),
        (None, "null"),
    ],
)
def test_values_in_ids(value: object, text: str) -> None:
    assert sweep.value_text(value) == text


def test_ids_tell_true_from_1(tmp_path: Path) -> None:
    assert ids(load(tmp_path, one("sweep: {bias: [true, false]}"))) == ["conv/f/a/bias=true", "conv/f/a/bias=false"]
    assert "bias must be true or false or a mapping with values, not 1" in refused(
        write(tmp_path, one("sweep: {bias: [1, true]}"))
    )


def pairs(rows: list[tuple[int, ...]]) -> set[tuple[tuple[int, int], ...]]:
    return {pair for row in rows for pair in combinations(enumerate(row), 2)}


def test_pairwise_holds_every_pair_in_few_rows() -> None:
    sizes = [3, 3, 2, 4, 3]
    rows = sweep.pairwise(sizes, lambda _: True)
    assert pairs(rows) == pairs(list(product(*map(range, sizes))))
    assert len(rows) < 30  # of 216
    assert rows == sweep.pairwise(sizes, lambda _: True) == sorted(rows)


def test_pairwise_beside_impossible_rows_keeps_every_possible_pair() -> None:
    sizes = [4, 3, 3, 2, 3]

    def possible(row: tuple[int, ...]) -> bool:
        return not (row[0] == 3 and row[1] == 0) and sum(row) < 8 and row[2] != row[3]

    rows = sweep.pairwise(sizes, possible)
    assert all(map(possible, rows))
    assert pairs(rows) == pairs([row for row in product(*map(range, sizes)) if possible(row)])


def test_pairwise_finds_the_only_row_that_makes_a_pair_possible() -> None:
    sizes = [2, 2, 10, 10, 10]
    rows = sweep.pairwise(sizes, lambda row: row[:2] != (1, 1) or row[2:] == (7, 7, 7))
    assert (1, 1, 7, 7, 7) in rows


@pytest.mark.parametrize("sizes", [(2, 2), (3, 2, 5), (2, 4, 6, 9), (2, 1, 2, 1)])
def test_completions_are_all_rows_of_a_pair_each_once(sizes: tuple[int, ...]) -> None:
    pair = ((0, 1), (1, 0))
    rows = list(sweep.completions(sizes, pair))
    assert sorted(rows) == [row for row in product(*map(range, sizes)) if row[:2] == (1, 0)]


def test_of_many_completions_some_from_all_over_are_tried() -> None:
    sizes = (2, 2, *(7,) * 8)
    rows = list(sweep.completions(sizes, ((0, 1), (1, 1))))
    assert len(set(rows)) == sweep.COMPLETIONS
    assert all(len({row[key] for row in rows}) == 7 for key in range(2, 10))


def test_product_times_pairwise(tmp_path: Path) -> None:
    text = one("sweep: {flip: [false, true]}, pairwise: {stride: [1, 2], padding: [0, 1], dtype: [float32, int8]}")
    cases = load(tmp_path, text)
    assert len(cases) == 8  # 2 x 4
    assert ids(cases)[0].startswith("conv/f/a/flip=false,stride=")
    assert [c.flip for c in cases] == [False] * 4 + [True] * 4


def test_a_pairwise_sweep_of_one_key(tmp_path: Path) -> None:
    assert ids(load(tmp_path, one("pairwise: {stride: [1, 2]}"))) == ["conv/f/a/stride=1", "conv/f/a/stride=2"]


def test_impossible_combinations_are_an_error_or_skipped(tmp_path: Path) -> None:
    swept = "sweep: {kernel: [3, 5], dilation: [1, 2]}"
    message = refused(write(tmp_path, one(swept)))
    assert "f.yaml:3:56: conv/f/a/kernel=5,dilation=2: axis 0: the kernel spans 9, the padded input is 8" in message
    assert message.endswith("; `impossible: skip` drops such combinations")
    assert len(ids(load(tmp_path, one(swept + ", impossible: skip")))) == 3


def test_integer_dtypes_have_no_gradients(tmp_path: Path) -> None:
    swept = "sweep: {dtype: [float32, int8], passes: [[forward], [forward, grad_input]]}"
    assert "conv/f/a/dtype=int8,passes=forwardxgrad_input: int8 has no gradients" in refused(
        write(tmp_path, one(swept))
    )
    cases = load(tmp_path, one(swept + ", impossible: skip"))
    assert [(c.dtype, len(c.passes)) for c in cases] == [("float32", 1), ("float32", 2), ("int8", 1)]


def test_skip_may_stand_in_defaults(tmp_path: Path) -> None:
    text = one("sweep: {kernel: [3, 5], dilation: [1, 2]}").replace("cases:", "defaults: {impossible: skip}\ncases:")
    assert len(load(tmp_path, text)) == 3


def test_skip_may_not_hide_a_value_altogether(tmp_path: Path) -> None:
    message = refused(write(tmp_path, one("sweep: {stride: [1, 0], dilation: [1, 2]}, impossible: skip")))
    assert message.endswith(
        "f.yaml:3:56: stride=0 is impossible in every combination: stride must be at least 1 on every axis, not [0, 0]"
    )
    paired = write(tmp_path, one("pairwise: {stride: [1, 0], dilation: [1, 2]}, impossible: skip"))
    assert "stride=0 is impossible in every combination" in refused(paired)


def test_skip_drops_no_case_that_is_not_swept(tmp_path: Path) -> None:
    assert "stride must be at least 1" in refused(write(tmp_path, one("stride: 0, impossible: skip")))


def test_a_case_to_be_refused(tmp_path: Path) -> None:
    cases = load(tmp_path, one("expect: {error: stride}, sweep: {stride: [0, -1]}"))
    assert [c.expect.error for c in cases] == ["stride", "stride"]


def test_passes_come_in_their_own_order_once(tmp_path: Path) -> None:
    (case,) = load(tmp_path, one("passes: [grad_input, forward, grad_input]"))
    assert case.passes == (Pass.FORWARD, Pass.GRAD_INPUT)


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    assert len(load(tmp_path, b"\xef\xbb\xbf" + one("stride: 1").encode())) == 1


# --- which files


def test_a_folder_is_read_by_name_without_known_failures(tmp_path: Path) -> None:
    for name in ("b/z.yaml", "a.yml", "b/known_failures/torch.yaml", ".hidden/x.yaml", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, one("stride: 1") if "known" not in name else "not: cases", name)
    suite = casefile.load([tmp_path])
    assert [c.id for c in suite.cases] == ["conv/a/a", "conv/z/a"]
    assert suite.roots == (str(tmp_path),)


def test_duplicate_ids_are_told_with_both_places(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, one("stride: 1"))
    a, b = (tmp_path / f / "f.yaml" for f in "ab")
    assert refused(tmp_path) == f"{b}:3:5: conv/f/a is there twice; the first is at {a}:3:5"


def test_a_folder_without_cases(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}:1:1: no case file (*.yaml, *.yml) is in this folder"


def test_a_missing_path(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.yaml") == f"{tmp_path / 'x.yaml'}:1:1: no such file or folder"


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("gone.yaml")
    assert "x.yaml:1:1: no such file or folder; it is a link to gone.yaml" in refused(tmp_path / "x.yaml")
    assert f"{tmp_path}/x.yaml:1:1: cannot be read: No such file" in refused(tmp_path)


def test_a_link_into_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    assert "the link leads back into a folder that it is in" in refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    assert "x.yaml:1:1: is a pipe, not a file of cases" in refused(tmp_path)


def test_a_device() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no devices here")
    assert refused(Path("/dev/zero")) == "/dev/zero:1:1: is a device, not a file of cases"


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, one("stride: 1"))

    def no(*_: object, **__: object) -> None:  # as root reads everything, permissions would prove nothing
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", no)
    assert refused(path) == f"{path}:1:1: cannot be read: Permission denied"


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, one("stride: 1") + "#" * 2**20)
    assert len(casefile.load([path]).cases) == 1
    monkeypatch.setattr(sources, "MAX_BYTES", 2**20)
    assert "f.yaml:1:1: the file is larger than 1 MiB" in refused(path)


def test_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path, "operation: conv\n# h\u00e9 ".encode() + b"\xe9\n")
    assert "f.yaml:2:6: not UTF-8: the byte 0xE9" in refused(path)


def test_a_name_that_makes_no_id(tmp_path: Path) -> None:
    assert "a b.yaml:1:1: the file's name is part of its cases' ids" in refused(
        write(tmp_path, one("stride: 1"), "a b.yaml")
    )


# --- what a file may not say


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        pytest.param("", "1:1", "the file is empty", id="empty"),
        pytest.param("- 1", "1:1", "a case file is a mapping", id="a list"),
        pytest.param("---\n", "2:1", "a case file is a mapping", id="nothing"),
        pytest.param("cases: []", "1:1", "`operation` is missing", id="no operation"),
        pytest.param("operation: cnv\ncases: []", "1:12", '"cnv" is no operation; did you mean conv?', id="operation"),
        pytest.param("operation: [x]\ncases: []", "1:12", "is no operation", id="operation list"),
        pytest.param("operation: conv\ncasses: []", "2:1", "unknown key casses; did you mean cases?", id="top key"),
        pytest.param("operation: conv", "1:1", "`cases` must be a list of at least one case", id="no cases"),
        pytest.param("operation: conv\ncases: {}", "2:8", "`cases` must be a list", id="cases mapping"),
        pytest.param("operation: conv\ncases: [x]", "2:9", 'a case is a mapping, not "x"', id="case"),
        pytest.param("operation: conv\ncases: [{kernel: 3}]", "2:9", "the case has no name", id="no name"),
        pytest.param("operation: conv\ncases: [{name: a b}]", "2:16", "name must be a name of letters", id="name"),
        pytest.param(
            "operation: conv\ndefaults: {strid: 1}\ncases: [{name: a}]",
            "2:12",
            "unknown key strid in defaults",
            id="default key",
        ),
        pytest.param(
            "operation: conv\ndefaults: {stride: x}\ncases: [{name: a, stride: 1}]",
            "2:20",
            "stride must be",
            id="default",
        ),
        pytest.param(
            "operation: conv\ndefaults: {sweep: {}}\ncases: [{name: a}]",
            "2:19",
            "sweep is for a case",
            id="default sweep",
        ),
        pytest.param(
            "operation: conv\ndefaults: 3\ncases: [{name: a}]", "2:11", "defaults must be a mapping", id="defaults"
        ),
        pytest.param(
            "operation: conv_transpose\ndefaults: {padding_mode: zeros}\ncases: [{name: a}]",
            "2:12",
            "unknown key padding_mode in defaults; it is a key of conv, not of conv_transpose",
            id="another's default",
        ),
        pytest.param(
            one("learning_rate: 1"),
            "3:36",
            "unknown key learning_rate; it is a key of learn_kernel, not of conv",
            id="another's key",
        ),
        pytest.param(
            "operation: learn_kernel\ncases: [{name: a, learning_rate: -1}]",
            "2:34",
            "learning_rate must be a number above 0, not -1",
            id="number above",
        ),
        pytest.param(one("strid: 2"), "3:36", "unknown key strid; did you mean stride?", id="key"),
        pytest.param(one("memory_format: {inpt: sliced}"), "3:52", "unknown key inpt in memory_format", id="inner key"),
        pytest.param(
            one("stride: two"), "3:44", 'stride must be an integer or a list of integers, not "two"', id="type"
        ),
        pytest.param(one("stride: [1, two]"), "3:48", 'stride[1] must be an integer, not "two"', id="type in list"),
        pytest.param(
            one("stride: .nan"), "3:44", "stride must be an integer or a list of integers, not .nan", id="nan"
        ),
        pytest.param(one("stride: true"), "3:44", "not true", id="a boolean is no number"),
        pytest.param(one("stride: 2.0"), "3:44", "not 2.0", id="a float is no integer"),
        pytest.param(one("rank: 4"), "3:42", "rank must be an integer from 1 to 3, not 4", id="range"),
        pytest.param(one("seed: -1"), "3:42", "seed must be an integer of at least 0, not -1", id="low"),
        pytest.param(one("dtype: float31"), "3:43", "dtype must be one of bfloat16, float16", id="choice"),
        pytest.param(one("padding: [[1, 2, 3], 0]"), "3:46", "padding[0] must be", id="pads"),
        pytest.param(one("passes: []"), "3:44", "passes must be a list (at least 1 long)", id="no passes"),
        pytest.param(one("kernel: 3"), "3:36", "kernel is given twice", id="duplicate key"),
        pytest.param(one("stride: [1, 2, 3]"), "3:44", "conv/f/a: stride has 3 numbers for 2 spatial axes", id="rank"),
        pytest.param(one("groups: 2"), "3:44", "groups (2) does not divide the input channels (1)", id="groups"),
        pytest.param(one("padding: -3"), "3:33", "the kernel spans 3, the padded input is 2", id="geometry"),
        pytest.param(
            one("dilation: 0"), "3:46", "dilation must be at least 1 on every axis, not [0, 0]", id="dilation"
        ),
        pytest.param(one("batch: -1"), "3:22", "a size is negative: input is [-1, 1, 8, 8]", id="negative"),
        pytest.param(
            one("sweep: {strid: [1]}"), "3:44", "unknown key strid in sweep; did you mean stride?", id="sweep key"
        ),
        pytest.param(one("sweep: {name: [b]}"), "3:44", "unknown key name in sweep", id="sweep name"),
        pytest.param(
            one("sweep: {stride: []}"), "3:52", "sweep.stride must be a list of at least one value", id="sweep of none"
        ),
        pytest.param(one("pairwise: {stride: 1}"), "3:55", "pairwise.stride must be a list", id="pairwise of one"),
        pytest.param(one("sweep: [1]"), "3:43", "sweep must be a mapping", id="sweep"),
        pytest.param(one("sweep: {}"), "3:43", "sweep must be a mapping", id="empty sweep"),
        pytest.param(one("sweep: {stride: [1, two]}"), "3:56", "stride must be an integer", id="swept type"),
        pytest.param(one("sweep: {stride: [1, 0]}"), "3:56", "conv/f/a/stride=0: stride must be", id="swept value"),
        pytest.param(one("sweep: {stride: [1, 1]}"), "3:5", "conv/f/a/stride=1 is there twice", id="swept twice"),
        pytest.param(one("sweep: {source: ['a b']}"), "3:53", 'a swept value is part of an id: "a b"', id="swept text"),
        pytest.param(
            one("sweep: {stride: [1]}, pairwise: {stride: [1]}"), "3:78", "in `sweep` and in `pairwise`", id="both"
        ),
        pytest.param(one("impossible: maybe"), "3:48", "impossible must be one of error, skip", id="impossible"),
        pytest.param(
            one("expect: {error: stride}"), "3:52", "expect.error is stride, but nothing is invalid", id="valid"
        ),
        pytest.param(
            one("stride: 0, expect: {error: groups}"),
            "3:63",
            "expect.error is groups, but what is invalid is stride",
            id="other",
        ),
        pytest.param(
            one("stride: 0, expect: {error: stride, shape: [1]}"), "3:55", "there is no answer", id="error and shape"
        ),
        pytest.param(
            one("expect: {shape: [1, 1, 6, 7]}"),
            "3:52",
            "expect.shape is [1, 1, 6, 7], the output is [1, 1, 6, 6]",
            id="shape",
        ),
        pytest.param(
            one("expect: {values: [[1]]}"),
            "3:53",
            "expect.values is [1, 1, 1, 1], the output is [1, 1, 6, 6]",
            id="values",
        ),
        pytest.param(
            one("batch: 40000000"),
            "3:22",
            "16,000,000,036 bytes (input 40000000x1x8x8, weight 1x1x3x3, output",
            id="large",
        ),
        pytest.param(
            one("sweep: {seed: &s [1], groups: *s, source: *s}, kernel: 1"), "3:", "kernel is given twice", id="twice"
        ),
    ],
)
def test_what_is_refused_and_where(tmp_path: Path, text: str, where: str, words: str) -> None:
    message = refused(write(tmp_path, text))
    assert message.startswith(f"{tmp_path}/f.yaml:{where}")
    assert words in message
    assert "\n" not in message


def literal(x: str, w: str, more: str) -> str:
    """Return a file of a rank-1 case whose input's values begin at line 4, column 23."""
    top = "operation: conv\ncases:\n  - name: a\n"
    return f"{top}    input: {{values: {x}}}\n    kernel: {{values: {w}}}\n    rank: 1\n    {more}\n"


@pytest.mark.parametrize(
    ("x", "dtype", "where", "words"),
    [
        ("[1, 200, 3]", "int8", "4:25", "int8 cannot hold: 200 is not in -128 to 127"),
        ("[1, -129, 3]", "int8", "4:25", "-129 is not in -128 to 127"),
        ("[1, 2, 2147483648]", "int32", "4:28", "2147483648 is not in -2147483648 to 2147483647"),
        ("[1, 0.5, 3]", "int32", "4:25", "0.5 is no integer"),
        ("[1, .nan, 3]", "int8", "4:25", "nan is no integer"),
        ("[1, 2, 16777217]", "float32", "4:28", "16777217 has more than 24 significant bits"),
        ("[1, 2, 2049]", "float16", "4:28", "2049 has more than 11 significant bits"),
        ("[1, 2, 257]", "bfloat16", "4:28", "257 has more than 8 significant bits"),
        ("[1, 2, 9007199254740993]", "float64", "4:28", "9007199254740993 has more than 53 significant bits"),
        ("[1, 2, 65536]", "float16", "4:28", "65536 is more than its largest number, 65504"),
        ("[[[1, 2, -1e39]]]", "float32", "4:30", "more than its largest number"),
    ],
)
def test_literals_that_a_dtype_cannot_hold(tmp_path: Path, x: str, dtype: str, where: str, words: str) -> None:
    message = refused(write(tmp_path, literal(x, "[2, 3]", f"dtype: {dtype}")))
    assert message.startswith(f"{tmp_path}/f.yaml:{where}: conv/f/a: input has a value that ")
    assert words in message


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        ("[-128, 127, 0]", "int8"),
        ("[16777216, 16777218]", "float32"),
        ("[2048, 2050]", "float16"),
        ("[0.1, 1e-9]", "bfloat16"),
        ("[.nan, -.inf]", "float16"),
        ("[1.5, 4096.0]", "float16"),
    ],
)
def test_literals_that_a_dtype_holds(tmp_path: Path, x: str, dtype: str) -> None:
    assert len(load(tmp_path, literal(x, "[2]", f"dtype: {dtype}"))) == 1


@pytest.mark.parametrize(
    ("x", "w"), [("[1, 1, 1]", "[1, 1]"), ("[1]", "[1]"), ("[7, 7, 7]", "[-3]"), ("[2, 2]", "[2.5, 2.5]")]
)
def test_one_number_all_over_checks_nothing(tmp_path: Path, x: str, w: str) -> None:
    for more in ("seed: 0", "bias: {values: 5}", "bias: true"):
        assert "f.yaml:4:21: conv/f/a: input and kernel are each one number all over" in refused(
            write(tmp_path, literal(x, w, more))
        )


@pytest.mark.parametrize(
    ("x", "w", "where"),
    [("[0, 0, 0]", "[1, 2]", "4:21: conv/f/a: input"), ("[1, 2]", "[-0.0]", "5:22: conv/f/a: kernel")],
)
def test_zeros_check_nothing(tmp_path: Path, x: str, w: str, where: str) -> None:
    assert f"f.yaml:{where} is all 0" in refused(write(tmp_path, literal(x, w, "seed: 0")))


def test_zeros_beside_a_fill_check_nothing(tmp_path: Path) -> None:
    text = "operation: conv\ncases:\n- {{name: a, rank: 1, input: {x}, kernel: {k}}}\n"
    zeros = "{values: [0, 0, 0]}"
    assert "f.yaml:3:38: conv/f/a: input is all 0" in refused(write(tmp_path, text.format(x=zeros, k=2)))
    assert "f.yaml:3:49: conv/f/a: kernel is all 0" in refused(write(tmp_path, text.format(x=8, k=zeros)))
    assert len(load(tmp_path, text.format(x="{values: [1, 1, 1]}", k=2))) == 1


def test_zeros_times_infinity_are_a_case(tmp_path: Path) -> None:
    """What must come out is NaN, and only where the infinity is."""
    assert len(load(tmp_path, literal("[1, .inf, 2]", "[0, 0]", "seed: 0"))) == 1


def test_a_single_product_is_a_case(tmp_path: Path) -> None:
    assert len(load(tmp_path, literal("[1e-40]", "[5]", "seed: 0"))) == 1


def test_zeros_are_fine_where_nothing_is_computed(tmp_path: Path) -> None:
    more = "stride: 0\n    expect: {error: stride}"
    assert len(load(tmp_path, literal("[0, 0, 0]", "[1]", more))) == 1


def test_one_operand_of_ones_is_fine(tmp_path: Path) -> None:
    assert len(load(tmp_path, literal("[1, 1, 1]", "[1, 2]", "seed: 0"))) == 1


@pytest.mark.parametrize("fill", ["normal", "wide", "cancelling", "special"])
@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_integers_hold_no_real_fill(tmp_path: Path, dtype: str, fill: str) -> None:
    message = refused(write(tmp_path, one(f"dtype: {dtype}, fill: {fill}")))
    assert f"conv/f/a: {dtype} holds no numbers of fill {fill}" in message
    assert message.endswith("take one of integers, impulse, ramp")


def test_a_fill_that_is_not_used_does_no_harm(tmp_path: Path) -> None:
    assert len(load(tmp_path, literal("[1, 2, 3]", "[1, 2]", "dtype: int8\n    fill: normal"))) == 1


def test_swept_fills_that_a_dtype_cannot_hold_are_dropped(tmp_path: Path) -> None:
    text = one("sweep: {dtype: [float32, int8], fill: [normal, ramp]}, impossible: skip")
    assert [(c.dtype, c.fill) for c in load(tmp_path, text)] == [
        ("float32", "normal"), ("float32", "ramp"), ("int8", "ramp"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [
        "stride: 0, expect: {error: stride}, passes: [forward, grad_input]",
        "stride: 0, expect: {error: stride}, passes: [grad_weight]",
        "dtype: int8, expect: {error: passes}, passes: [grad_weight]",
    ],
)
def test_a_case_to_be_refused_takes_the_forward_pass_only(tmp_path: Path, keys: str) -> None:
    assert "a case that must be refused has no output, so there are no gradients" in refused(write(tmp_path, one(keys)))


def test_no_backend_is_asked_to_refuse_a_pass(tmp_path: Path) -> None:
    """It is called with no such argument."""
    message = refused(write(tmp_path, one("dtype: int8, passes: [grad_weight]")))
    assert message.endswith("conv/f/a: int8 has no gradients")


def test_expected_values_of_a_pass_that_is_not_there(tmp_path: Path) -> None:
    more = "passes: [grad_input]\n    expect: {values: [5, 8]}"
    assert "f.yaml:8:22: conv/f/a: expect.values is of the forward pass" in refused(
        write(tmp_path, literal("[1, 2, 3]", "[1, 2]", more))
    )


def test_expected_integers_in_range(tmp_path: Path) -> None:
    more = "dtype: int8\n    expect: {values: [5, 300]}"
    assert "f.yaml:8:26: conv/f/a: expect has a value that int8 cannot hold: 300" in refused(
        write(tmp_path, literal("[1, 2, 3]", "[1, 2]", more))
    )


def test_the_level_large_lifts_the_limit(tmp_path: Path) -> None:
    (case,) = load(tmp_path, one(f"batch: 40000000, level: {caserules.LARGE}"))
    assert case.input_shape[0] == 40_000_000


def test_repeats_are_counted_and_compute_nothing_else(tmp_path: Path) -> None:
    once, often = load(tmp_path, one("passes: [grad_input]") + "  - {name: b, input: 8, kernel: 3, repeats: 4}\n")
    assert (once.repeats, often.repeats) == (1, 4)
    assert geometry(often).repeats == 1
    assert "f.yaml:3:45: repeats must be an integer of at least 1, not 0" in refused(write(tmp_path, one("repeats: 0")))


def test_all_bad_entries_are_told_each_once(tmp_path: Path) -> None:
    a = write(
        tmp_path, "operation: conv\ncases:\n- {name: a, strid: 1}\n- {name: b, stride: x}\n- {name: c}\n", "a.yaml"
    )
    b = write(tmp_path, one("sweep: {stride: [x], dilation: [1, 2, 3]}"), "b.yaml")
    lines = refused(a, b, tmp_path / "c.yaml").splitlines()
    places = [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in lines]
    assert places == ["a.yaml:3:13", "a.yaml:4:21", "a.yaml:5:3", "b.yaml:3:53", "c.yaml:1:1"]


def test_only_the_first_problems_are_told(tmp_path: Path) -> None:
    lines = refused(write(tmp_path, one(f"sweep: {{stride: [{', '.join(f'x{i}' for i in range(50))}]}}"))).splitlines()
    assert len(lines) == casefile.MAX_PROBLEMS + 1
    assert lines[-1] == "and more"


# --- bounds


def test_cases_are_counted_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = ", ".join(map(str, range(1, 200)))
    text = one(f"sweep: {{seed: [{many}], batch: [{many}]}}, pairwise: {{stride: [{many}], dilation: [{many}]}}")
    monkeypatch.setattr(written.Written, "build", None)
    assert "f.yaml:1:1: the sweeps make 1,568,239,201 cases; a file may hold 200,000" in refused(write(tmp_path, text))


def test_a_long_literal_counts_in_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = literal(str(list(range(100))), "[1, 2]", "sweep: {stride: [1, 2, 3]}")
    assert len(load(tmp_path, text)) == 3
    monkeypatch.setattr(casefile, "MAX_VALUES", 300)
    assert "the sweeps repeat the values written to" in refused(write(tmp_path, text))


def test_a_pairwise_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "MAX_TRIES", 5)
    text = one("pairwise: {dilation: [4, 5, 6], kernel: [4, 5, 6], stride: [1, 2]}, impossible: skip")
    assert "the pairwise sweep tried 5 combinations" in refused(write(tmp_path, text))


def test_an_id_has_an_end(tmp_path: Path) -> None:
    text = one("sweep: {expect: [{shape: [" + ", ".join(["1"] * 120) + "]}]}")
    assert "signs; at most 200" in refused(write(tmp_path, text))


def test_reading_needs_no_numpy_and_no_framework() -> None:
    code = (
        "import sys; from convsuite import casefile; casefile.builtin();"
        "print(sorted({'numpy', 'pandas', 'torch', 'jax', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the shipped cases, the schema, the documentation


def test_the_shipped_cases_load() -> None:
    suite = casefile.builtin()
    assert suite.cases
    assert all(c.origin.file.startswith("convsuite_cases/") for c in suite.cases)


def test_the_shipped_schema_is_up_to_date() -> None:
    assert schema.shipped() == schema.schema_text(), "python -m convsuite.schema > …/case-file.schema.json"


def validator() -> jsonschema.Draft202012Validator:
    made = schema.schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_the_schema_takes_the_shipped_cases() -> None:
    takes = validator()
    for source in sources.find(files(casefile.BUILTIN), "cases"):
        takes.validate(yaml.safe_load(source.text()))


@pytest.mark.parametrize(
    "text",
    [
        one("strid: 2"),
        one("stride: two"),
        one("sweep: {strid: [1]}"),
        one("sweep: {stride: [two]}"),
        one("sweep: {stride: []}"),
        one("impossible: maybe"),
        one("kernel: {siz: 3}").replace("kernel: 3, ", ""),
        "operation: cnv\ncases: [{name: a}]",
        "operation: conv\ncases: []",
        "operation: conv\ncases: [{kernel: 3}]",
        "operation: conv\ndefaults: {strid: 1}\ncases: [{name: a}]",
        "operation: conv\nextra: 1\ncases: [{name: a}]",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(tmp_path: Path, text: str) -> None:
    assert refused(write(tmp_path, text))
    assert not validator().is_valid(yaml.safe_load(text))


def examples() -> list[str]:
    text = DOCS.read_text(encoding="utf-8")
    return [block.split("```")[0] for block in text.split("```yaml\n")[1:]]


@pytest.mark.parametrize("text", [e for e in examples() if e.startswith("operation:")])
def test_the_documentation_s_examples_load(tmp_path: Path, text: str) -> None:
    cases = load(tmp_path, text, "example.yaml")
    said = [line.split("# id: ")[1].strip() for line in text.splitlines() if "# id: " in line]
    assert set(said) <= set(ids(cases))


@pytest.mark.parametrize(
    ("operation", "keys", "told"),
    [
        (
            "max_pool",
            "input: 8, kernel: 30000000, padding: 30000000",
            "900,000,000,000,000 taps of a window (30000000x",
        ),
        ("max_pool", "rank: 1, input: 8, kernel: 2000000, padding: 2000000", "more than the 1,048,576 of a case below"),
        (
            "adaptive_avg_pool",
            "rank: 1, input: 8, output: 20000000",
            "for where windows lie), more than the 2,147,483,648",
        ),
        (
            "adaptive_max_pool",
            "rank: 1, input: 8, output: 100000",
            "10,000,400,032 bytes (input 1x1x8, output 1x1x100000",
        ),
        ("adaptive_avg_pool", "input: 8, output: 1000000000", "bytes (input 1x1x8x8, output 1x1x1000000000x1000000000"),
    ],
)
def test_what_the_reference_cannot_follow_is_refused(tmp_path: Path, operation: str, keys: str, told: str) -> None:
    text = f"operation: {operation}\ncases:\n- {{name: a, {keys}}}\n"
    assert told in refused(write(tmp_path, text))


@pytest.mark.parametrize("operation", ["max_pool", "patches", "fold"])
def test_a_missing_kernel_is_missing(tmp_path: Path, operation: str) -> None:
    text = f"operation: {operation}\ncases:\n- {{name: a, input: 8, output: 8}}\n"
    text = text if operation == "fold" else text.replace(", output: 8", "")
    assert "kernel is missing: give its spatial size" in refused(write(tmp_path, text))


def test_a_missing_output_is_missing(tmp_path: Path) -> None:
    text = "operation: adaptive_max_pool\ncases:\n- {name: a, input: 8}\n"
    assert "output is missing: give its spatial size" in refused(write(tmp_path, text))


def test_a_refusal_says_which_passes_it_takes_where_others_are_the_default(tmp_path: Path) -> None:
    text = (
        "operation: receptive_field\ncases:\n- {name: a, input: 2, layers: [{kernel: 3}], expect: {error: kernel}%s}\n"
    )
    assert "set `passes: [forward]`" in refused(write(tmp_path, text % ""))
    assert len(casefile.load([write(tmp_path, text % ", passes: [forward]")]).cases) == 1


def test_a_descent_may_start_at_zeros_but_not_of_zeros(tmp_path: Path) -> None:
    text = "operation: learn_kernel\ncases:\n- {{name: a, input: {x}, kernel: {{values: [[0, 0]]}}, target: {y}}}\n"
    seen, nothing = "{size: [1, 3]}", "{values: [[0, 0, 0]]}"
    assert len(casefile.load([write(tmp_path, text.format(x=seen, y="{}"))]).cases) == 1
    assert "input is all 0" in refused(write(tmp_path, text.format(x=nothing, y="{}")))
    assert "target is all 0" in refused(write(tmp_path, text.format(x=seen, y="{values: [[0, 0]]}")))


@pytest.mark.parametrize(
    "more", ["operation: learn_kernel, kernel: [1, 2]", "operation: receptive_field, layers: [{kernel: 1}]"]
)
def test_several_channels_where_there_is_one(tmp_path: Path, more: str) -> None:
    operation, keys = more.split(", ", 1)
    text = f"{operation}\ncases:\n- {{name: a, input: {{values: [[[1, 2]], [[3, 4]]]}}, rank: 2, {keys}}}\n"
    message = refused(write(tmp_path, text))
    assert "f.yaml:3:29: " in message
    assert "there is one channel here, the values written out have 2" in message


def test_no_memory_format_of_a_weight(tmp_path: Path) -> None:
    text = "operation: learn_kernel\ncases:\n- {name: a, input: 3, kernel: 2, memory_format: {weight: transposed}}\n"
    assert "this operation has no memory format of a weight" in refused(write(tmp_path, text))


def test_a_crop_of_more_than_the_axis(tmp_path: Path) -> None:
    text = "operation: {op}\ncases:\n- {{name: a, rank: 1, input: 3, kernel: 2, padding: [[{pads}]]}}\n"
    for op in ("conv", "max_pool", "patches"):
        for pads in ("-4, 5", "5, -4"):
            message = refused(write(tmp_path, text.format(op=op, pads=pads)))
            assert "axis 0: 4 of 3 positions are cut off one end" in message
        assert len(casefile.load([write(tmp_path, text.format(op=op, pads="-3, 5"))]).cases) == 1


def test_a_written_pointwise_weight_has_its_memory_format(tmp_path: Path) -> None:
    keys = "input: 4, kernel: 3, memory_format: transposed, pointwise: {values: [[1]]}"
    text = f"operation: separable_conv\ncases:\n- {{name: a, {keys}}}\n"
    (case,) = casefile.load([write(tmp_path, text)]).cases
    assert {o.role: o.memory_format for o in case.operands}["pointwise"] == "transposed"


# --- a case alone


@pytest.mark.parametrize(
    "glob", ["conv/pairs/*", "conv/basic/*", "conv/padding/*", "max_pool/*", "separable_conv/pairs/*"]
)
def test_a_case_alone_is_the_same_case(glob: str, tmp_path: Path) -> None:
    """Its file, read again, gives one case that computes the same."""
    for case in casefile.builtin("default", (glob,)).cases[::7]:
        path = write(tmp_path, casefile.alone(case, ()), f"{case.id.split('/')[1]}.yaml")
        (again,) = casefile.load([path]).cases
        assert (geometry(again), again.fill, again.seed) == (geometry(case), case.fill, case.seed)
        assert case.id.startswith(again.id)


def test_a_case_alone_has_its_defaults_and_of_its_sweep_one_value(tmp_path: Path) -> None:
    text = (
        "operation: conv\ndefaults: {input: 8, dtype: float64}\ncases:\n"
        "  - {name: a, kernel: 3, sweep: {stride: [1, 11, 2], padding: [1, 11, [[1, 2]]]}, impossible: skip, rank: 1}\n"
    )
    path = write(tmp_path, text)
    case = next(c for c in casefile.load([path]).cases if c.id == "conv/f/a/stride=2,padding=11")
    (fields,) = yaml.safe_load(casefile.alone(case, [path]))["cases"]
    assert fields == {"name": "a", "kernel": 3, "input": 8, "dtype": "float64", "stride": 2, "padding": 11, "rank": 1}


def test_a_case_whose_file_is_another_by_now(tmp_path: Path) -> None:
    path = write(tmp_path, one("stride: 2"))
    (case,) = casefile.load([path]).cases
    write(tmp_path, "operation: conv\ncases:\n\n\n  - {name: b, input: 8, kernel: 3}\n")
    with pytest.raises(CaseFileError, match="conv/f/a is no longer here"):
        casefile.alone(case, [path])
    with pytest.raises(CaseFileError, match="is not there"):
        casefile.alone(case, [write(tmp_path, one(""), "g.yaml")])
