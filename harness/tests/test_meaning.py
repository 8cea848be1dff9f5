"""The meaning register without any framework: questions that tell, classification that can fail, tables, the page."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from convsuite.cli import main
from convsuite.errors import BackendError, SelectorError
from convsuite.meaning import asking, command, markdown, register
from convsuite.meaning.classify import classify
from convsuite.meaning.dialect import dialects
from convsuite.meaning.evaluate import words
from convsuite.meaning.orders import from_order, to_order
from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.records import Call, Given, Probe, Question, Row
from convsuite.meaning.refusals import rule
from convsuite.meaning.survey import Asked
from convsuite.meaning.table import print_rows
from convsuite.meaning.wording import lines

PAGE = Path(__file__).parents[2] / "docs" / "porting.md"
CALLS = asking.every(dialects())
SAME = QUESTIONS["conv_same"]


def given(question: Question, meaning: str) -> list[Given]:
    """What a framework of one meaning would give."""
    at = [m.name for m in question.meanings].index(meaning)
    return [Given(array=answer, dtype=str(answer.dtype)) for answer in question.answers[at] if answer is not None]


def row_of(question: Question, answers: Sequence[Given]) -> Row:
    return classify(question, Call(question.id, "call(x, w)", "NCHW", "OIHW", "NCHW"), "torch", "1.0", answers)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_probes_tell_all_meanings_apart(question: Question) -> None:
    for (a, ours), (b, others) in combinations(zip(question.meanings, question.answers, strict=True), 2):
        equal = [
            x is y or (x is not None and y is not None and np.array_equal(x, y, equal_nan=True) and x.dtype == y.dtype)
            for x, y in zip(ours, others, strict=True)
        ]
        assert not all(equal), f"{a.name} and {b.name} are the same on every probe"


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_every_meaning_answers_something(question: Question) -> None:
    for meaning, answers in zip(question.meanings, question.answers, strict=True):
        assert any(a is not None and a.size for a in answers), meaning.name


@pytest.mark.parametrize("meaning", [m.name for m in SAME.meanings])
def test_a_call_is_what_it_gives(meaning: str) -> None:
    assert row_of(SAME, given(SAME, meaning)).meanings == (meaning,)


def test_one_wrong_element_is_none_of_these() -> None:
    answers = given(SAME, "same_upper")
    wrong = np.copy(answers[-1].array)  # type: ignore[arg-type]
    wrong.flat[-1] += 1
    row = row_of(SAME, [*answers[:-1], Given(array=wrong)])
    assert row.meanings == ()
    assert row.differs.startswith("same_upper, but not for 1 of 14 probes; first at stride 3")


def test_an_answer_of_another_shape_fits_nothing_and_nothing_is_near() -> None:
    answers = [Given(array=np.zeros((1, 3, 1, 1)))] * len(SAME.probes)
    row = row_of(SAME, answers)
    assert row.meanings == ()
    assert row.differs == f"nor near any; first at {SAME.probes[0]}"


def test_only_a_root_may_differ_by_a_rounding() -> None:
    roots = QUESTIONS["lp_pool_sign"]
    for question, meaning, fitting in ((roots, "signed, NaN below 0", 1), (SAME, "same_upper", 0)):
        answers = [Given(array=g.array * (1 + 1e-6)) for g in given(question, meaning)]  # type: ignore[operator]
        assert len(row_of(question, answers).meanings) == fitting
    far = [Given(array=g.array * 1.001) for g in given(roots, "signed, NaN below 0")]  # type: ignore[operator]
    assert row_of(roots, far).meanings == ()


def test_keras_same_with_output_padding_is_told_from_torchs_shifted_by_one() -> None:
    question = QUESTIONS["conv_transpose_output_padding"]
    answers = given(question, "crops 2⌊k/2⌋ − more")
    assert row_of(question, answers).meanings == ("crops 2⌊k/2⌋ − more",)
    assert {a.array.shape for a in answers} & {a.array.shape for a in given(question, "crops k//2, more at the end")}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Exception encountered when calling Conv2D.call().\n\n\x1b[1mtoo few axes\x1b[0m\n\nArguments …",
            "too few axes",
        ),
        ("{{function_node __wrapped__Conv2D_device_/job:a}} only NHWC [Op:Conv2D] name: ", "only NHWC"),
        ("in user code:\n\n    File x\n\n    bad stride", "bad stride"),
        ("bad stride\nmore", "bad stride"),
        ("", ""),
    ],
)
def test_the_words_of_a_refusal_are_its_cause(text: str, said: str) -> None:
    assert words(ValueError(text)) == f"ValueError: {said}"


def test_a_nan_fits_no_number() -> None:
    answers = [Given(array=np.full_like(g.array, np.nan)) for g in given(SAME, "same_upper")]  # type: ignore[arg-type]
    assert row_of(SAME, answers).meanings == ()


def test_a_dtype_counts_where_it_is_asked_for() -> None:
    question = QUESTIONS["conv_int8"]
    answers = [Given(array=g.array, dtype="float32") for g in given(question, "int32")]
    assert row_of(question, given(question, "int32")).meanings == ("int32",)
    assert row_of(question, answers).meanings == ()


def test_what_is_refused_is_told_as_a_rule_and_what_is_left_as_all_that_fits() -> None:
    answers = [
        Given(refusal="RuntimeError: no") if probe.names["stride"] != 1 else g
        for probe, g in zip(SAME.probes, given(SAME, "same_upper"), strict=True)
    ]
    row = row_of(SAME, answers)
    assert (row.refuses, row.words, row.answered) == ("stride > 1", "RuntimeError: no", 4)
    assert row.meanings == ("same_upper", "k−1 upper")


def test_a_call_that_refuses_everything_means_nothing() -> None:
    row = row_of(SAME, [Given(refusal="ValueError: no")] * len(SAME.probes))
    assert (row.meanings, row.refuses, row.differs) == ((), "everything", "")


def probes(*names: dict[str, int | tuple[int, ...]]) -> list[Probe]:
    return [Probe(operation="conv", keys={}, names=n, arrays={}) for n in names]


GRID = probes(*({"stride": s, "dilation": d, "kernel": (k, 2)} for s in (1, 2, 3) for d in (1, 2) for k in (1, 2, 3)))


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("stride > 2", lambda s, d, k: s == 3),
        ("stride < 2", lambda s, d, k: s == 1),
        ("stride > 1 with dilation > 1", lambda s, d, k: s > 1 and d > 1),
        ("odd kernel", lambda s, d, k: k != 2),
        ("odd stride", lambda s, d, k: s != 2),
        ("9 of 18 probes", lambda s, d, k: (s + d + k) % 2),
        ("everything", lambda s, d, k: True),
        ("", lambda s, d, k: False),
    ],
)
def test_the_simplest_rule_is_told(words: str, holds: object) -> None:
    refused = [bool(holds(p.names["stride"], p.names["dilation"], p.names["kernel"][0])) for p in GRID]  # type: ignore[operator, index]
    assert rule(GRID, refused) == words


@pytest.mark.parametrize("order", ["NHWC", "CHWN", "NCHW"])
def test_orders_go_there_and_back(order: str) -> None:
    for shape in ((2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)):
        array = np.arange(np.prod(shape)).reshape(shape)
        assert np.array_equal(from_order(to_order(array, "NCHW", order), "NCHW", order), array)
    assert to_order(np.zeros((2, 3, 4, 5)), "NCHW", "NHWC").shape == (2, 4, 5, 3)
    assert to_order(np.zeros((6, 1, 4, 5)), "OIHW", "HWCM", channels=2).shape == (4, 5, 2, 3)


def test_calls_are_chosen_by_part_glob_question_and_backend() -> None:
    assert {a.call.question for a in asking.select(CALLS, ["pad_?ode"])} == {"pad_mode"}
    assert {a.backend for a in asking.select(CALLS, ["keras:jax"])} == {"keras:jax"}
    assert all("Conv2D(" in a.call.text for a in asking.select(CALLS, ["layers.conv2d("]))
    assert all("[(p, p)" in a.call.text for a in asking.select(CALLS, ["lax*[(p, p)"]))
    assert asking.select(CALLS, []) == CALLS


def test_a_line_of_ones_own_means_the_calls_of_its_name_and_keywords() -> None:
    found = asking.select(CALLS, ['Conv2DTranspose(8, 3, strides=2, padding="same", output_padding=1)'])
    assert found
    assert all("Conv2DTranspose(" in a.call.text and "output_padding=" in a.call.text for a in found)
    unknown = asking.select(CALLS, ["torch.nn.functional.conv2d(image, w, bogus=1)"])
    assert {a.call.text.partition("(")[0] for a in unknown} == {"torch.nn.functional.conv2d"}
    short = asking.select(CALLS, ["F.conv2d(image, w, bogus=1)"])
    assert {"tf.nn.conv2d", "torch.nn.functional.conv2d"} <= {a.call.text.partition("(")[0] for a in short}


@pytest.mark.parametrize(
    ("pattern", "near"), [("conv_smae", "conv_same"), ("torhc", "torch"), ("@@@", "questions are")]
)
def test_a_pattern_that_means_nothing_is_an_error_with_the_nearest(pattern: str, near: str) -> None:
    with pytest.raises(SelectorError, match=near):
        asking.select(CALLS, [pattern])


@pytest.mark.parametrize("pattern", ["", " "])
def test_an_empty_pattern_is_an_error_and_not_everything(pattern: str) -> None:
    with pytest.raises(SelectorError, match="name none"):
        asking.select(CALLS, [pattern])


def test_the_register_has_a_row_for_every_call_and_no_other() -> None:
    rows = [(row.backend, row.question, row.call) for row in register.recorded()]
    assert len(set(rows)) == len(rows)
    assert set(rows) == {(a.backend, a.call.question, a.call.text) for a in CALLS}


def test_the_register_speaks_of_meanings_that_there_are() -> None:
    for row in register.recorded():
        question = QUESTIONS[row.question]
        assert set(row.meanings) <= {m.name for m in question.meanings}
        assert row.asked == len(question.probes), f"{row.question} has other probes now: record it anew"


def test_the_register_is_written_as_it_is_read() -> None:
    text = register.text(register.recorded())
    assert msgspec.json.decode(text, type=tuple[Row, ...]) == register.recorded()
    assert text.count("\n") == len(register.recorded()) + 2


def of(backend: str, call: str) -> Row:
    return next(row for row in register.recorded() if row.backend == backend and row.call == call)


def test_a_call_that_means_something_else_is_a_change_and_its_version_or_words_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = of("torch", 'torch.nn.functional.conv2d(x, w, stride=stride, padding="same")')
    newer = msgspec.structs.replace(row, version="9.9", words="RuntimeError: other words")
    other = msgspec.structs.replace(row, version="9.9", meanings=("same_lower",))
    assert not register.changes([row, newer])
    assert register.changes([other]) == {other: row}
    for found, code, said in ((newer, 0, "none changed"), (other, 1, "changed: was same_upper")):
        monkeypatch.setattr(command, "survey", lambda chosen, found=found: [found])
        monkeypatch.setattr(command, "missing", lambda dialect: ())
        assert command.run_meaning(("torch",), "table") == code
        assert said in " ".join(capsys.readouterr().out.split())


def test_where_nothing_is_installed_nothing_is_asked_and_that_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "missing", lambda dialect: dialect.requires[:1])
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    with pytest.raises(BackendError, match=r"^nothing asked: flax is not installed$"):
        command.run_meaning(("flax",), "table")
    with pytest.raises(BackendError, match=r"^nothing asked: flax, jax are not installed$"):
        command.run_meaning(("flax", "jax"), "json")
    assert "jax" not in sys.modules


def of_torch_alone(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Let PyTorch be installed alone; the rows that it is to give."""
    monkeypatch.setattr(command, "missing", lambda dialect: () if dialect.requires == ("torch",) else ("it",))
    rows = [row for row in register.recorded() if row.backend == "torch"]
    monkeypatch.setattr(command, "survey", lambda chosen: rows)
    return rows


def test_what_is_not_installed_beside_is_said_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_torch_alone(monkeypatch)
    assert command.run_meaning(("conv_same",), "table") == 0
    assert "jax: not installed" in capsys.readouterr().out


def test_a_register_loses_no_framework_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_torch_alone(monkeypatch)
    assert command.run_meaning((), "json") == 0
    rows = msgspec.json.decode(capsys.readouterr().out, type=tuple[Row, ...])
    assert set(rows) == set(register.recorded())


def test_one_call_is_one_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = of_torch_alone(monkeypatch)
    for asked, said in ((rows[:1], "1 call, none changed"), (rows[:2], "2 calls, none changed")):
        monkeypatch.setattr(command, "survey", lambda chosen, asked=asked: asked)
        command.run_meaning(("torch",), "table")
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(("width", "heads"), [(120, 4), (119, 2), (60, 2)])
def test_a_narrow_terminal_has_framework_and_arrays_below_the_call(width: int, heads: int) -> None:
    rows = [row for row in register.recorded() if row.question == "conv_same"]
    out = io.StringIO()
    print_rows(Console(file=out, width=width), rows, {})
    head = next(line for line in out.getvalue().splitlines() if line.strip().startswith("call"))
    assert len(head.split()) == heads
    told = " ".join(out.getvalue().split())
    assert "torch 2." in told
    assert "x NCHW" in told


def test_two_forms_at_once_are_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["meaning", "--json", "--markdown", "torch"])
    assert result.exit_code == 2
    assert "give one" in result.output


def test_variants_of_which_the_same_is_true_share_a_line() -> None:
    call = 'keras.ops.conv(x, w, strides=stride, padding="same")'
    rows = [row for row in register.recorded() if row.call == call]
    assert [line.framework.partition(" (")[2] for line in lines(rows, {})] == ["tensorflow, jax, torch)"]
    rows[1] = msgspec.structs.replace(rows[1], meanings=("same_lower",))
    assert [line.framework.partition(" (")[2] for line in lines(rows, {})] == ["tensorflow, torch)", "jax)"]


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert markdown.refreshed(page, register.recorded()) == page, "run: python -m convsuite.meaning docs/porting.md"


def test_the_page_shows_every_question() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [q for q in QUESTIONS if f"<!-- meaning: {q} -->" not in page] == []


def test_a_stale_page_is_seen() -> None:
    page = "a\n<!-- meaning: conv_same -->\nold\n<!-- /meaning -->\nb"
    fresh = markdown.refreshed(page, register.recorded())
    assert fresh.startswith("a\n<!-- meaning: conv_same -->\n*“SAME” padding")
    assert fresh.endswith("<!-- /meaning -->\nb")
    assert "old" not in fresh


def test_asking_for_calls_imports_no_framework() -> None:
    assert {Asked} == {type(a) for a in CALLS}
    assert len(CALLS) > 100
