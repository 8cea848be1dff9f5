"""The cases that we ship: how many, how dear, and that the worked examples are what their text says."""

from __future__ import annotations

import runpy
from functools import cache
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np
import pytest

from convsuite import casefile
from convsuite.case import LEVELS, Case, Pass, geometry
from convsuite.errors import CaseFileError
from convsuite.operands import fill
from convsuite.operations import OPERATIONS, of
from convsuite.run import contradictions

SHIPPED = Path(str(files("convsuite_cases")))
FILES = sorted(p for p in SHIPPED.rglob("*.yaml") if p.parent.name != "known_failures")
MAKER = Path(__file__).parents[2] / "benchmarks" / "make_problem_cases.py"

# of the text that the examples come from: the output's values, or its shape where the text gives no more
WORKED = {
    "cross_correlation": [[19, 25], [37, 43]],
    "normal_5x5": (1, 1, 3, 3),
    "edge_detection": [[0, 1, 0, 0, 0, -1, 0]] * 6,
    "several_input_channels": [[56, 72], [104, 120]],
    "several_input_channels_8x8": (1, 1, 6, 6),
    "several_output_channels": [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]],
    "several_output_channels_8x8": (1, 5, 6, 6),
    "pointwise_3x3": (1, 2, 3, 3),
    "pointwise_8x8": (1, 5, 8, 8),
    "padding": (1, 1, 4, 4),
    "stride_3x4_valid": (1, 1, 2, 1),
    "stride_3x4_same": (1, 1, 2, 2),
    "stride_10x10_valid": (1, 1, 1, 1),
}
# all that stand for an example of that text, by operation, file and name
WORKED_EXAMPLES = {
    *(f"conv/basic/{name}" for name in WORKED),
    *("conv/basic/layer_with_scalar_bias", "conv/basic/padding_same", "conv/basic/pointwise_is_a_matrix_product"),
    "conv/patches_times_weights/arange",
    *(
        f"max_pool/basic/{name}"
        for name in ("pool_2x2", "default_stride", "stride_2_1", "same_stride_2", "two_channels")
    ),
    "avg_pool/basic/two_by_two",
    *(f"patches/basic/{name}" for name in ("same", "valid", "stride", "rate", "arange_75")),
    *(f"local_conv/basic/{name}" for name in ("weights_of_keras_2", "strides")),
    *(f"learn_kernel/edges/{name}" for name in ("ten_steps", "ten_steps_to_the_end_in_the_text")),
    *(f"learn_kernel/edges/{name}" for name in ("twenty_steps", "ten_longer_steps")),
    *(f"receptive_field/basic/{name}" for name in ("one_layer", "two_layers", "larger_than_the_input")),
}


@cache
def shipped() -> tuple[Case, ...]:
    return casefile.builtin().cases


@cache
def up_to(level: str) -> tuple[Case, ...]:
    return tuple(c for c in shipped() if LEVELS.index(c.level) <= LEVELS.index(level))


def _stands_out(case: Case) -> bool:
    """True where what is due hangs on a few places of the input."""
    chosen = case.fill == "impulse" or (of(case).COMPARES and case.fill == "integers")
    written = case.operands[0].literal is not None
    return chosen and not written and case.expect.error is None and prod(case.input_shape) > 0


def named(id_: str) -> Case:
    return next(c for c in shipped() if c.id == id_)


def computed(case: Case) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return of(case).reference(case, fill(case), Pass.FORWARD).value


def test_there_are_enough_cases_at_each_level() -> None:
    assert 20 <= len(up_to("smoke")) <= 150
    assert len(up_to("default")) >= 1500
    assert len(up_to("full")) >= 15_000


def test_default_cases_are_small() -> None:
    """Compiling backends pay for each geometry, slow ones for each product."""
    possible = [c for c in up_to("default") if c.expect.error is None]
    dear = {geometry(c) for c in possible if c.wants_gradient and not c.memory_formats}
    assert len(dear) <= 1700
    assert max(of(c).work(c).flops for c in possible) <= 2_000_000
    assert sum(of(c).work(c).flops for c in possible) <= 50_000_000
    assert max(prod(o.shape) for c in possible for o in c.operands) <= 60_000


def test_full_cases_are_bounded() -> None:
    assert max(of(c).work(c).flops for c in up_to("full") if c.expect.error is None) <= 300_000_000


def test_cases_of_one_geometry_follow_each_other() -> None:
    """So that a compiler sees each of them once: what leaves the computation the same is swept last."""
    last: dict[Case, int] = {}
    for at, case in enumerate(up_to("default")):
        if Path(case.origin.file).stem == "fills" and case.expect.error is None:
            assert at - last.get(geometry(case), at) <= 1, case.id
            last[geometry(case)] = at


@pytest.mark.parametrize("path", sorted((SHIPPED / "conv").rglob("*.yaml")), ids=lambda p: p.stem)
def test_a_file_says_what_it_catches_and_why(path: Path) -> None:
    head = path.read_text(encoding="utf-8").partition("\noperation:")[0]
    assert head.startswith("# ")
    assert "Worth it because" in head


@pytest.mark.parametrize("name", WORKED)
def test_a_worked_example_expects_what_the_text_says(name: str) -> None:
    case, due = named(f"conv/basic/{name}"), WORKED[name]
    if isinstance(due, tuple):
        assert of(case).output_shape(case) == due
    else:
        assert case.expect.values is not None
        assert np.array(case.expect.values.values).reshape(np.shape(due)).tolist() == due


def test_worked_examples_have_their_tag_and_nothing_else_has() -> None:
    tagged = [c for c in shipped() if "worked-example" in c.tags]
    assert {"/".join(c.id.split("/")[:3]) for c in tagged} == WORKED_EXAMPLES
    assert {c.id for c in shipped() if c.source.startswith("worked example")} <= {c.id for c in tagged}


def test_a_kernel_is_learned_as_the_text_prints_it() -> None:
    last = computed(named("learn_kernel/edges/ten_steps_to_the_end_in_the_text"))[-1]
    assert np.round(last[1:], 4).tolist() == [1.0010, -0.9739]


def test_written_values_agree_with_the_reference() -> None:
    written = [c for c in shipped() if c.expect.values is not None]
    assert len(written) >= 12
    contradictions(written)


def test_a_wrong_written_value_is_found(tmp_path: Path) -> None:
    text = (SHIPPED / "conv" / "basic.yaml").read_text()
    assert "[[19, 25], [37, 43]]" in text
    (tmp_path / "basic.yaml").write_text(text.replace("[[19, 25], [37, 43]]", "[[19, 25], [37, 44]]"))
    with pytest.raises(CaseFileError, match="cross_correlation"):
        contradictions(casefile.load([tmp_path]).cases)


def test_convolution_is_patches_times_weights_exactly() -> None:
    """An image and kernels that count through, in float32: the two ways of computing differ by exactly 0."""
    case = named("conv/patches_times_weights/arange")
    padded = np.pad(np.arange(75, dtype=np.float32).reshape(5, 5, 3), ((1, 1), (1, 1), (0, 0)))
    patches = np.stack([padded[i : i + 3, j : j + 3].ravel() for i in range(5) for j in range(5)])
    product = patches @ np.arange(1728, dtype=np.float32).reshape(27, 64)
    assert np.abs(product).max() < 2**24
    assert np.array_equal(product.T.reshape(1, 64, 5, 5), computed(case))
    assert case.expect.values is not None
    assert product.T.ravel().tolist() == list(case.expect.values.values)


@pytest.mark.parametrize("name", ["pointwise_3x3", "pointwise_8x8", "pointwise_is_a_matrix_product"])
def test_a_pointwise_kernel_is_a_matrix_product(name: str) -> None:
    case = named(f"conv/basic/{name}")
    x, weight = (np.asarray(a, dtype=np.float64) for a in fill(case)[:2])
    product = weight.reshape(weight.shape[:2]) @ x.reshape(x.shape[1], -1)
    assert np.linalg.norm(computed(case).reshape(product.shape) - product) <= 1e-6


def test_every_invalid_argument_is_tried_for_one_image_and_for_two() -> None:
    refused = [c for c in up_to("default") if c.expect.error and c.operation == "conv"]
    assert {c.expect.error for c in refused} == {
        *("stride", "dilation", "groups", "channels", "kernel", "padding", "rank")
    }
    for parameter in ("stride", "dilation", "groups", "channels", "kernel"):
        tried = {(c.rank, c.input_shape[0]) for c in refused if c.expect.error == parameter}
        assert tried >= {(rank, batch) for rank in (1, 2, 3) for batch in (1, 2)}, parameter


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o not in ("receptive_field", "learn_kernel")])
def test_every_operation_has_what_must_be_refused(operation: str) -> None:
    """Stacks and descents are made of convolutions, whose refusals are tried above."""
    tried = {c.expect.error for c in up_to("default") if c.operation == operation}
    assert len(tried - {None}) >= 2


def test_problem_files_are_what_their_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not MAKER.exists():
        pytest.skip("an installed package has no benchmarks/ beside it")
    script = runpy.run_path(str(MAKER))
    (tmp_path / "conv").mkdir()
    (tmp_path / "data").symlink_to(SHIPPED / "data")
    monkeypatch.setitem(script["main"].__globals__, "CASES", tmp_path)
    script["main"]()
    made = {p.name: p.read_text() for p in (tmp_path / "conv").iterdir()}
    assert len(made) == 2
    for name, text in made.items():
        assert text == (SHIPPED / "conv" / name).read_text(), f"run {MAKER.name} again"


def test_problems_keep_their_shapes_and_negative_pads() -> None:
    problems = [c for c in shipped() if Path(c.origin.file).stem.startswith("problems_")]
    assert len(problems) > 200
    assert all(c.input_shape[0] == 1 and c.source.startswith("oneDNN benchdnn") and c.expect.shape for c in problems)
    assert any(high < 0 for c in problems for _, high in c.padding.pads)


def test_no_fill_asks_for_zeros_only() -> None:
    """Else a backend that answers with zeros would pass."""
    assert [c.id for c in up_to("default") if _stands_out(c) and not computed(c).any()] == []
