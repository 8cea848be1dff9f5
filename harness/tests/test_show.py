"""`convsuite show`: what it says and draws is what the reference computes."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
from textwrap import dedent
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from rich.console import Console

from convsuite import casefile, operations, show
from convsuite.case import Case, Origin, Padding, Pass
from convsuite.drawing import WIDTH, axes, draw_axes, draw_plane, in_runs, legend, pads_in_words
from convsuite.operands import fill
from convsuite.operations import conv, lp_pool, max_pool, receptive_field, window
from convsuite.operations.common import Common
from convsuite.operations.conv import ConvCase, ConvEntry


def case(**entry: Any) -> ConvCase:
    """A convolution as a case file would write it."""
    written = msgspec.convert({"name": "x", **entry}, ConvEntry)
    return conv.resolve(written, Common(id="conv/t/x", origin=Origin(file="t.yaml", line=1)))


def drawing(of: Case) -> str:
    return "\n".join(draw_axes(axes(of)))


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


SAME = {"input": 4, "kernel": 3, "stride": 2, "padding": "same"}


def test_the_page_of_a_strided_same_convolution() -> None:
    values = {
        "input": {"values": np.arange(16).reshape(4, 4).tolist()},
        "kernel": {"values": np.eye(3, dtype=int).tolist()},
    }
    written = {**SAME, **values, "passes": ["forward", "grad_weight"], "source": "hand-computed", "tags": ["padding"]}
    page = show.describe(case(**written, expect={"values": [[15, 9], [21, 25]]}))
    above, _, below = page.partition("\ngrad_output")
    assert (
        above
        == text(
            """
        conv/t/x

          written in        t.yaml:1
          operation         conv
          input             (1, 1, 4, 4)  N=1 C=1 H=4 W=4  written out
          weight            (1, 1, 3, 3)  C_out=1 C_in/groups=1 kH=3 kW=3  written out
          grad_output       (1, 1, 2, 2)  N=1 C=1 H=2 W=2
          kernel            3 × 3
          stride            2 × 2
          dilation          1 × 1 (dense)
          effective kernel  3 × 3, from its first tap to its last
          groups            1
          bias              none
          flip              no: cross-correlation, which frameworks call convolution
          padding H         same_upper: 0 before, 1 after
          padding W         same_upper: 0 before, 1 after
          padding mode      zeros
          dtype             float32
          fill              integers, seed 0, for grad_output: non-zero integers, so small that every sum is
                            exact
          layout            default: the framework's own
          memory            contiguous
          passes            forward, grad_weight
          output            (1, 1, 2, 2)  N=1 C=1 H=2 W=2
          output H          floor((4 + 0 + 1 - 3) / 2) + 1 = 2
          output W          floor((4 + 0 + 1 - 3) / 2) + 1 = 2
          terms K           forward 9, grad_weight 4 (products in one sum)
          work              72 FLOP, 116 B moved at least (forward)
          expects           values, written out in the case file
          level             default
          tags              padding
          source            hand-computed

        axes 0 and 1 (H, W): 4 inputs, padding 0 before, 1 after, window 3 every 2

              x0 x1 x2 x3 │  0
          y0  w0 w1 w2  · │  ·
          y1   ·  · w0 w1 │ w2

          same: ceil(4 / 2) = 2 outputs take (2 - 1) * 2 + 3 - 4 = 1 more, the odd one after
          the windows start at 0 and 2

        the padded plane (H, W), first window in brackets:

           [0,0] [0,1] [0,2]  0,3  │    0
           [1,0] [1,1] [1,2]  1,3  │    0
           [2,0] [2,1] [2,2]  2,3  │    0
            3,0   3,1   3,2   3,3  │    0
           ────────────────────────┼──────
              0     0     0     0  │    0

        y0 = output 0, x2 = input 2, w1 = element 1 of the kernel, 0 = a padded zero, · = outside the window

        input (1, 1, 4, 4)
          [[ 0,  1,  2,  3],
           [ 4,  5,  6,  7],
           [ 8,  9, 10, 11],
           [12, 13, 14, 15]]

        weight (1, 1, 3, 3)
          [[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]]
        """
        )
        + "\n"
    )
    assert (
        "expected output (1, 1, 2, 2)\n  [[15,  9],\n   [21, 25]]\n  as the case file says\n\nexpected grad_weight"
        in below
    )
    assert page.endswith("\n\nrun it: convsuite check 'conv/t/x'\n")


def test_how_often_the_network_has_a_layer() -> None:
    assert "  repeats           4 layers of the network\n" in show.describe(case(input=8, kernel=3, repeats=4))
    assert "repeats" not in show.describe(case(input=8, kernel=3))


def test_the_page_of_a_case_that_must_be_refused() -> None:
    page = show.describe(case(input=4, kernel=[3, 2], stride=[0, 1], groups=2, channels=3, expect={"error": "stride"}))
    assert page.partition("forward\n")[2].partition("  level")[0] == (
        "  must be refused   stride is invalid: a typed error is due\n"
        "  because           stride must be at least 1 on every axis, not [0, 1]\n"
        "  because           groups (2) does not divide the input channels (3)\n"
        "  because           groups (2) does not divide the output channels (3)\n"
    )
    assert "y0" not in page  # there is no geometry to draw
    assert "expected" not in page


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        ({"input": [3, 3, 3], "rank": 2, "kernel": 2}, "the input has 3 spatial axes, the kernel 2"),
        ({"input": 3, "kernel": 9}, "axis 1: the kernel spans 9, the padded input is 3 (3 + 0 + 0)"),
        ({"input": 3, "kernel": 0}, "kernel must be at least 1 on every axis, not [0, 0]"),
        (
            {"input": 3, "kernel": 1, "padding": 3, "padding_mode": "reflect"},
            "axis 0: reflect padding of 3, 3 positions give at most 2",
        ),
    ],
)
def test_an_impossible_case_says_why(wrong: dict[str, Any], because: str) -> None:
    assert f"  {because}\n" in show.describe(case(**wrong, expect={"error": "rank"}))


def test_what_k_counts_where_the_bound_counts_more() -> None:
    written = msgspec.convert({"name": "x", "input": 4, "kernel": 2}, lp_pool.LpPoolEntry)
    pool = lp_pool.resolve(written, Common(id="lp_pool/t/x", origin=Origin(file="t.yaml", line=1)))
    page = " ".join(show.describe(pool).split())
    assert "terms K forward 4 (values in one sum; the bound also counts the roundings of powers and roots)" in page


def max_pool_of(**entry: Any) -> max_pool.MaxPoolCase:
    written = msgspec.convert({"name": "x", **entry}, max_pool.MaxPoolEntry)
    return max_pool.resolve(written, Common(id="max_pool/t/x", origin=Origin(file="t.yaml", line=1)))


CROPPED = {"rank": 1, "input": 8, "kernel": 2, "stride": 2, "padding": [[0, -3]], "ceil_mode": True}


def test_what_hangs_over_a_crop_sees_no_input() -> None:
    pool = max_pool_of(**CROPPED)
    assert drawing(pool) == text(
        """
        axis 0 (L): 8 inputs, padding 0 before, 3 cut off after, hanging over by 1, window 2 every 2

                x0   x1   x2   x3   x4 │    p │ (x6) (x7)
          y0     ■    ■    ·    ·    · │    · │
          y1     ·    ·    ■    ■    · │    · │
          y2     ·    ·    ·    ·    ■ │    ■ │

          the windows start at 0, 2 and 4
          x5..x7 are read by no window
        """
    )
    assert "floor((8 + 0 - 3 + 1 - 2) / 2) + 1 = 3" in show.describe(pool)


@pytest.mark.parametrize(
    "keys",
    [
        CROPPED,
        {**CROPPED, "padding": [[1, 0]]},
        {**CROPPED, "padding": [[-1, -2]], "kernel": 3, "stride": 3},
        {**CROPPED, "input": 9, "kernel": 4, "stride": 3, "padding": [[0, -3]]},
        {**CROPPED, "input": 9, "kernel": 3, "stride": 4, "dilation": 2, "padding": [[2, -1]]},
    ],
)
def test_the_drawing_of_a_pool_has_the_inputs_that_the_reference_sees(keys: dict[str, Any]) -> None:
    pool = max_pool_of(**keys)
    (axis,) = axes(pool)
    (at,) = pool.meetings()
    assert axis.hanging > 0
    drawn = [[axis.held(p) for p in axis.taps(output)] for output in range(axis.windows)]
    assert drawn == at.T.tolist()


def test_pooling_with_same_padding_shows_the_pad_after_the_data() -> None:
    pool = Case(
        id="max_pool/t/same",
        operation="max_pool",
        input_shape=(1, 1, 4, 4),
        kernel=(3, 3),
        stride=(2, 2),
        dilation=(1, 1),
        padding=Padding(kinds=("same_upper",) * 2, pads=((0, 1),) * 2),
    )
    assert "\n".join([*draw_axes(axes(pool)), "", *draw_plane(*axes(pool)), "", legend(axes(pool))]) == text(
        """
        axes 0 and 1 (H, W): 4 inputs, padding 0 before, 1 after, window 3 every 2

              x0 x1 x2 x3 │  p
          y0   ■  ■  ■  · │  ·
          y1   ·  ·  ■  ■ │  ■

          same: ceil(4 / 2) = 2 outputs take (2 - 1) * 2 + 3 - 4 = 1 more, the odd one after
          the windows start at 0 and 2

        the padded plane (H, W), first window in brackets:

           [0,0] [0,1] [0,2]  0,3  │    p
           [1,0] [1,1] [1,2]  1,3  │    p
           [2,0] [2,1] [2,2]  2,3  │    p
            3,0   3,1   3,2   3,3  │    p
           ────────────────────────┼──────
              p     p     p     p  │    p

        y0 = output 0, x2 = input 2, ■ = in the window, p = padding, · = outside the window
        """
    )


def test_dilation_gaps_flipped_taps_and_circular_padding_are_drawn() -> None:
    circular = case(
        input=[7], kernel=3, dilation=2, stride=3, padding=[[2, 0]], padding_mode="circular", flip=True, rank=1
    )
    assert drawing(circular) == text(
        """
        axis 0 (L): 7 inputs, padding 2 before, 0 after, window 3 (spread over 5) every 3

              x5 x6 │ x0 x1 x2 x3 x4 x5 x6
          y0  w2  - │ w1  - w0  ·  ·  ·  ·
          y1   ·  · │  · w2  - w1  - w0  ·

          the windows start at -2 and 1
          x4, x6 are read by no window
          1 of the 2 padded positions before is read by no window
        """
    )
    assert "beyond a bar = the input that the padding repeats (circular), - = passed over" in legend(axes(circular))


def test_negative_pads_and_outputs_of_padding_alone_are_pointed_out() -> None:
    assert drawing(case(input=[6, 1], kernel=[2, 1], stride=[3, 1], padding=[[-1, -1], [0, 2]])) == text(
        """
        axis 0 (H): 6 inputs, padding 1 cut off before, 1 cut off after, window 2 every 3

              (x0) │   x1   x2   x3   x4 │ (x5)
          y0       │   w0   w1    ·    · │

          the window starts at 1
          x0, x3..x5 are read by no window

        axis 1 (W): 1 input, padding 0 before, 2 after, window 1 every 1

              x0 │  0  0
          y0  w0 │  ·  ·
          y1   · │ w0  ·
          y2   · │  · w0

          the windows start at 0, 1 and 2
          y1..y2 read padding only
        """
    )


def test_a_long_axis_is_elided() -> None:
    assert drawing(case(input=[224], rank=1, kernel=7, stride=2, padding=3)) == text(
        """
        axis 0 (L): 224 inputs, padding 3 before, 3 after, window 7 every 2

                   0    0    0 │   x0   x1   x2   x3   x4 … x220 x221 x222 x223 │    0    0    0
          y0      w0   w1   w2 │   w3   w4   w5   w6    · …    ·    ·    ·    · │    ·    ·    ·
          y1       ·    ·   w0 │   w1   w2   w3   w4   w5 …    ·    ·    ·    · │    ·    ·    ·
          y2       ·    ·    · │    ·   w0   w1   w2   w3 …    ·    ·    ·    · │    ·    ·    ·
          …     107 more windows, one every 2
          y110     ·    ·    · │    ·    ·    ·    ·    · …   w3   w4   w5   w6 │    ·    ·    ·
          y111     ·    ·    · │    ·    ·    ·    ·    · …   w1   w2   w3   w4 │   w5   w6    ·

          the windows start at -3, -1, 1, …, 219
          1 of the 3 padded positions after is read by no window
        """
    )


def drawn_taps(lines: list[str]) -> dict[tuple[int, int], int]:
    """Read a drawing: (output, kernel element) → the input it meets, −1 for a zero. Columns are right-aligned."""
    table = [line for line in lines if re.match(r"  (y\d+)? ", line) and ("x" in line or re.match(r"  y\d", line))]
    heads = {m.end(): m.group() for m in re.finditer(r"[^ │]+", table[0])}
    met = {}
    for line in table[1:]:
        name, *cells = re.finditer(r"[^ │]+", line)
        for cell in cells:
            if cell.group()[0] == "w":
                head = heads[cell.end()]
                met[int(name.group()[1:]), int(cell.group()[1:])] = int(head[1:]) if head[0] == "x" else -1
    return met


GEOMETRIES = [
    {
        "input": [size],
        "rank": 1,
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": pad,
        "padding_mode": mode,
        "flip": flip,
    }
    for size, (kernel, dilation), stride, pad, mode, flip in itertools.product(
        (5, 8),
        ((1, 1), (2, 3), (3, 2), (4, 1)),
        (1, 3),
        ("valid", "same_upper", "same_lower", "causal", [[2, 3]], [[-1, 2]], [[0, -1]]),
        ("zeros", "reflect", "replicate", "circular"),
        (False, True),
    )
]


def test_every_tap_is_drawn_where_the_reference_reads() -> None:
    """One kernel element at a time over an input that counts 1, 2, 3, …: the reference then answers what it read."""
    seen = 0
    for geometry in GEOMETRIES:
        of = case(**geometry)
        if conv.violations(of):
            continue
        met = drawn_taps(draw_axes(axes(of)))
        (outputs,) = conv.output_shape(of)[2:]
        assert {i for i, _ in met} == set(range(outputs)), geometry
        counted = np.arange(1.0, of.input_shape[2] + 1).reshape(of.input_shape)
        for tap, weight in enumerate(np.eye(of.kernel[0])):
            read = conv.reference(of, [counted, weight.reshape(of.weight_shape)], Pass.FORWARD).value.ravel()
            assert [met[i, tap] + 1 for i in range(outputs)] == read.tolist(), (geometry, tap)
            seen += outputs
    assert seen > 5000


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(17, 1, 1), (40, 3, 2), (300, 90, 3), (1000, 1, 400), (99, 50, 7), (31, 31, 1)]
)
@pytest.mark.parametrize("padding", ["valid", "same_upper", "full", 2])
def test_windows_drawn_and_windows_left_out_add_up(size: int, kernel: int, stride: int, padding: Any) -> None:
    of = case(input=[size], rank=1, kernel=kernel, stride=stride, padding=padding)
    lines = draw_axes(axes(of))
    drawn = [int(m.group(1)) for line in lines if (m := re.match(r"  y(\d+) +\S", line)) and "read" not in line]
    left_out = sum(int(m.group(1)) for line in lines if (m := re.match(r"  … +(\d+) more window", line)))
    outputs = conv.output_shape(of)[2]
    assert len(drawn) + left_out == outputs
    assert {drawn[0], drawn[-1]} == {0, outputs - 1}


def test_no_line_is_wider_than_the_page() -> None:
    wide = [
        {
            "input": [224, 300],
            "kernel": [7, 99],
            "stride": [2, 3],
            "padding": "full",
            "channels": 64,
            "source": "word " * 60,
        },
        {"input": [100_000_000], "rank": 1, "kernel": 200, "dilation": 3, "stride": 50, "padding": "causal"},
        {"input": [64], "rank": 1, "kernel": 3, "fill": "normal"},
        {"input": [9, 9, 9], "kernel": [3, 3, 3], "padding": [1, -1, [12, 12]], "padding_mode": "zeros"},
        {"input": [8, 8], "kernel": 3, "padding": 2, "padding_mode": "reflect", "fill": "special", "dtype": "float64"},
    ]
    for entry in wide:
        for line in show.describe(case(**entry)).splitlines():
            assert len(line) <= WIDTH, line


def test_inputs_that_no_window_reads_are_those_without_gradient() -> None:
    of = case(input=[20], rank=1, kernel=2, stride=5, padding=[[1, 0]], passes=["forward", "grad_input"])
    unread = np.flatnonzero(conv.reference(of, fill(of), Pass.GRAD_INPUT).magnitude.ravel() == 0).tolist()
    assert f"  {in_runs(unread, 'x')} are read by no window" in drawing(of)
    assert unread


def test_printed_values_are_the_operands_and_the_reference() -> None:
    """The arrays can be pasted into a case file: YAML reads them as they were."""
    for entry in ({"fill": "integers"}, {"fill": "special"}, {"fill": "ramp", "channels": 2, "batch": 2, "bias": True}):
        of = case(input=[3, 4], kernel=2, passes=["forward", "grad_input", "grad_weight"], **entry)
        blocks = dict(
            re.findall(r"^((?:expected )?[a-z_]+) \([\d, ]+\)\n((?:  .*\n?)+)", show.describe(of), re.MULTILINE)
        )
        arrays = fill(of)
        expected = {o.role: a for o, a in zip(of.operands, arrays, strict=True)} | {
            f"expected {'output' if p is Pass.FORWARD else p}": operations.of(of).reference(of, arrays, p).value
            for p in of.passes
        }
        for name, array in expected.items():
            if not (np.isfinite(array) & (array != np.trunc(array))).any():
                printed = np.asarray(yaml.safe_load(blocks[name]), dtype=np.float64).reshape(array.shape)
                np.testing.assert_array_equal(printed, array, err_msg=name)


def test_values_of_the_case_file_that_differ_are_printed() -> None:
    page = show.describe(case(input={"values": [[1, 2], [3, 4]]}, kernel=1, expect={"values": [[1, 2], [3, 5]]}))
    assert "the case file says otherwise: (1, 1, 2, 2)\n  [[1, 2],\n   [3, 5]]\n" in page
    assert "as the case file says" not in page


def test_reals_say_that_they_are_rounded() -> None:
    page = show.describe(case(input={"values": [[0.1, 0.25], [3, 4]]}, kernel={"values": [[1]]}, dtype="float64"))
    assert "input (1, 1, 2, 2)\n  [[ 0.1, 0.25]," in page
    page = show.describe(
        case(input={"values": [[0.1, 0.25]]}, kernel={"values": [[1]]})
    )  # 0.1 is 0.10000000149 in float32
    assert "input (1, 1, 1, 2), to 6 digits\n  [[ 0.1, 0.25]]" in page
    assert "weight (1, 1, 1, 1)\n  [[1]]" in page


def test_parameters_in_words() -> None:
    page = show.describe(
        case(
            input=[6, 5],
            kernel=[3, 2],
            channels=4,
            groups=4,
            flip=True,
            bias={"values": 2},
            padding=["causal", "same_lower"],
            memory_format={"input": "sliced"},
            layout="channels_last",
        )
    )
    for line in (
        "groups            4: depthwise, one input channel each",
        "bias              (4,)  C_out=4  written out",
        "flip              yes: the true convolution, the kernel runs backwards on every axis",
        "padding H         causal: 2 before, 0 after, so that no output sees a later input",
        "padding W         same_lower: 1 before, 0 after",
        "memory            input sliced, weight contiguous, bias contiguous",
        "layout            channels_last: the framework is called with (N, *spatial, C)",
        "same: ceil(5 / 1) = 5 outputs take (5 - 1) * 1 + 2 - 5 = 1 more, the odd one before",
        "values: not printed, input has 120 elements; they are where no array has more than 64",
    ):
        assert line in page


def test_a_stack_has_a_line_for_each_layer() -> None:
    layers = [{"kernel": 3, "stride": 2, "padding": "same"}, {"kernel": [2, 1], "dilation": [2, 1]}]
    written = {"name": "x", "input": [6, 5], "layers": layers, "at": 0}
    entry = msgspec.convert(written, receptive_field.ReceptiveFieldEntry)
    common = Common(id="receptive_field/t/x", origin=Origin(file="t.yaml", line=1))
    page = show.describe(receptive_field.resolve(entry, common))
    assert "Case(" not in page
    assert not re.search(r"^  (kernel|stride|dilation|effective kernel|padding H|output H) ", page, re.MULTILINE)
    for line in (
        "  layer 0           of 6 × 5: kernel 3 × 3, stride 2 × 2, padding same_upper [[0, 1], [1, 1]]\n",
        "  layer 1           of 3 × 3: kernel 2 × 1, stride 1 × 1, dilation 2 × 1, padding valid\n",
        "  field             7 × 3, from the first input that may matter to the last\n",
        "  of the output at  [0, 0]\n",
        "\n\ndrawn is layer 0, the first of 2\n\naxis 0 (H)",
    ):
        assert line in page


@pytest.mark.parametrize("name", operations.OPERATIONS)
def test_no_operation_has_a_parameter_that_is_shown_as_its_repr(name: str) -> None:
    smallest = casefile.builtin("smoke", (name,)).cases
    assert smallest
    assert not re.search(r"\w\(\w+=", show.describe(smallest[0]))


@pytest.mark.parametrize(
    ("size", "text"), [(1, "2 FLOP, 12 B"), (1000, "2.00 kFLOP, 7.82 KiB"), (1_000_000, "2.00 MFLOP, 7.63 MiB")]
)
def test_work_is_humanised(size: int, text: str) -> None:
    assert f"{text} moved at least" in show.describe(case(input=[size], rank=1, kernel=1))


def test_empty_axes_and_batches_are_shown() -> None:
    assert "input (2, 1, 0, 3): no elements" in show.describe(case(input=[0, 3], kernel=2, padding=2, batch=2))
    assert "expected output (0, 1, 2, 2): no elements" in show.describe(case(input=3, kernel=2, batch=0))


@pytest.mark.parametrize(
    ("pads", "words"), [((0, 0), "none"), ((0, 1), "0 before, 1 after"), ((-2, 0), "2 cut off before, 0 after")]
)
def test_pads_in_words(pads: tuple[int, int], words: str) -> None:
    assert pads_in_words(*pads) == words


def test_runs_of_numbers() -> None:
    assert in_runs({0, 4, 5, 6, 9}, "x") == "x0, x4..x6, x9"
    assert in_runs(range(0, 20, 2), "x") == "x0, x2, x4, x6 and 6 more"


def test_a_terminal_gets_the_same_words_in_colour() -> None:
    of = case(**SAME)
    plain, coloured = io.StringIO(), io.StringIO()
    show.print_case(of, Console(file=plain, width=40))
    show.print_case(of, Console(file=coloured, width=40, force_terminal=True, color_system="standard"))
    assert plain.getvalue() == show.describe(of)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured.getvalue()) == show.describe(of)
    assert coloured.getvalue() != show.describe(of)


def test_the_engine_tells_its_path_and_variants_where_they_have_another() -> None:
    def told(**keys: Any) -> str:
        page = io.StringIO()
        show.print_engine(case(**keys), Console(file=page, width=200))
        return page.getvalue()

    wide = told(input=[14, 14], kernel=3, channels=16)
    assert "numpy_im2col\n  forward" in wide
    assert "numpy_im2col:winograd\n  forward  Winograd F(4×4, 3×3)" in wide
    assert ":fft" not in wide
    assert ":winograd" not in told(input=[12, 12], kernel=2, channels=16)


def test_a_large_case_needs_no_numpy() -> None:
    program = dedent("""
        import sys
        from convsuite import show
        from convsuite.case import Origin
        from convsuite.operations import conv
        from convsuite.operations.common import Common
        entry = conv.ConvEntry(name="x", rank=1, input=2**40, kernel=3, stride=2, padding=1)
        print(show.describe(conv.resolve(entry, Common(id="conv/t/x", origin=Origin(file="", line=0)))))
        sys.exit(sorted({"numpy", "rich"} & set(sys.modules)) or 0)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"floor(({2**40} + 1 + 1 - 3) / 2) + 1 = {window.output_size(2**40 + 2, 3, 2)}" in done.stdout
