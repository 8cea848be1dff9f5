"""The cases that we ship: how many, how dear, and that the worked examples are what their text says."""

from __future__ import annotations

import csv
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
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
from convsuite.selectors import levels_up_to

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


# suites of level real, and how many shapes each has at least
SUITES = {
    "conv": {
        "resnet_50_v1_5": 23,
        "vgg_19": 9,
        "mobilenet": 11,
        "unet": 13,
        "efficientdet": 51,
        "googlenet_v3": 43,
        "3d_unet": 8,
        "1d_wavenet": 13,
        "deepbench_training": 55,
        "deepbench_inference": 55,
        "bench_smoke": 6,
    },
    "depthwise_conv": {"mobilenet": 9, "efficientdet": 17, "bench_smoke": 1},
    "conv_transpose": {"networks_1d": 6, "networks_2d": 58, "networks_3d": 1, "dilated": 57, "bench_smoke": 1},
    "max_pool": {
        "resnet_50_v1_5": 1,
        "alexnet": 3,
        "googlenet_v1": 10,
        "googlenet_v3": 5,
        "i3d_resnet50_v1": 3,
        "3d_unet": 3,
        "bench_smoke": 1,
    },
    "avg_pool": {"resnet_50_v1_5": 1, "googlenet_v1": 1, "googlenet_v3": 6, "bench_smoke": 1},
}
REAL = {f"{operation}/{name}": least for operation, suites in SUITES.items() for name, least in suites.items()}


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


def real(glob: str) -> list[Case]:
    return [c for c in shipped() if c.level == "real" and fnmatchcase(c.id, glob)]


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
    monkeypatch.syspath_prepend(MAKER.parents[1])
    import_module(f"benchmarks.{MAKER.stem}").write(tmp_path)
    made = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*.yaml")}
    shipped_ones = {p.relative_to(SHIPPED).as_posix(): text for p in FILES if MAKER.name in (text := p.read_text())}
    assert made.keys() == shipped_ones.keys()
    for name, text in made.items():
        assert text == shipped_ones[name], f"run {MAKER.name} again"


def test_what_a_suite_leaves_out_is_counted_in_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    if not MAKER.exists():
        pytest.skip("an installed package has no benchmarks/ beside it")
    monkeypatch.syspath_prepend(MAKER.parents[1])
    suites = import_module("benchmarks.problem_suites")
    assert not any("left out" in text for _, text in suites.suites())
    monkeypatch.setattr(suites, "LARGEST", 40_000_000)
    text = dict(suites.suites())["conv/3d_unet.yaml"]
    assert text.startswith("# The layers of 3D U-Net, conv: 6 shapes; left out: 2 of more than 2^28 elements")
    assert text.count("- name:") == 6


def test_problems_keep_their_shapes_and_negative_pads() -> None:
    problems = [c for c in shipped() if Path(c.origin.file).stem.startswith("problems_")]
    assert len(problems) > 200
    assert all(c.input_shape[0] == 1 and c.source.startswith("oneDNN benchdnn") and c.expect.shape for c in problems)
    assert any(high < 0 for c in problems for _, high in c.padding.pads)


@pytest.mark.parametrize("front", REAL)
def test_a_suite_of_real_layers_is_there(front: str) -> None:
    cases = real(f"{front}/*")
    assert len(cases) >= REAL[front]
    for case in cases:
        weighted = "conv" in case.operation
        passes = (Pass.FORWARD, Pass.GRAD_INPUT, *((Pass.GRAD_WEIGHT,) if weighted else ()))
        assert (case.passes, case.level, case.dtype, case.fill) == (passes, "real", "float32", "normal")
        assert case.input_shape[0] == 1
        assert case.expect.shape == of(case).output_shape(case)
        assert case.id.split("/")[1] in case.tags
        assert sum(prod(o.shape) for o in case.operands) <= 2**28


def test_real_layers_are_in_a_suite_each_shape_once() -> None:
    """And no other case is of that level, or has repeats."""
    every = real("*")
    assert {"/".join(c.id.split("/")[:2]) for c in every} == REAL.keys()
    assert len({(c.id.rpartition("/")[0], geometry(c)) for c in every}) == len(every)
    assert {c.level for c in shipped() if c.repeats > 1} == {"real"}


@pytest.mark.parametrize("network", ["resnet_50_v1_5", "vgg_19", "efficientdet", "deepbench_training"])
def test_a_network_has_all_the_layers_that_its_list_has(network: str) -> None:
    with (SHIPPED / "data" / "conv_problems.csv").open(newline="", encoding="utf-8") as opened:
        listed = sum(int(row["repeats"]) for row in csv.DictReader(opened) if row["list"] == network)
    assert sum(c.repeats for c in real(f"*conv/{network}/*")) == listed


def test_resnet_50_has_53_convolutions() -> None:
    assert sum(c.repeats for c in real("conv/resnet_50_v1_5/*")) == 53


def test_the_smoke_suite_is_small_and_of_every_kind() -> None:
    smoke = [c for c in real("*") if "bench_smoke" in c.tags]
    assert 8 <= len(smoke) <= 10
    assert {c.operation for c in smoke} == SUITES.keys()
    assert {c.rank for c in smoke} == {1, 2, 3}
    assert max(of(c).work(c).flops for c in smoke) <= 300_000_000


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_what_is_not_parsed_is_above_the_level(level: str) -> None:
    read = casefile.builtin(level).cases
    assert tuple(c for c in read if c.level in levels_up_to(level)) == up_to(level)


def test_no_fill_asks_for_zeros_only() -> None:
    """Else a backend that answers with zeros would pass."""
    assert [c.id for c in up_to("default") if _stands_out(c) and not computed(c).any()] == []
