"""What the plugin promises: cases worked out by hand, and what it declares of them."""

import numpy as np
import pytest

from convsuite.backend import find
from convsuite.casefile import load
from convsuite.operands import fill
from convsuite.operations import of

CASES = """
operation: conv
defaults: {input: {values: [[0, 1, 2], [3, 4, 5], [6, 7, 8]]}, kernel: {values: [[0, 1], [2, 3]]}}
cases:
  - {name: native, expect: {values: [[19, 25], [37, 43]]}}
  - {name: native_flip, flip: true, expect: {values: [[5, 11], [23, 29]]}}
  - name: composed_stride
    stride: 2
    padding: [[1, 0], [0, 1]]
    bias: {values: 1}
    expect: {values: [[4, 5], [38, 17]]}
  - {name: composed_1d, rank: 1, batch: 2, channels: {in: 3, out: 2}, input: 5, kernel: 2}
  - {name: composed_3d, rank: 3, channels: {in: 2, out: 2}, input: 4, kernel: 2, flip: true, dtype: float64}
  - {name: unsupported_dilation, dilation: 2}
  - {name: unsupported_half, dtype: float16}
  - {name: unsupported_layout, layout: channels_last}
  - {name: unsupported_argument, stride: 0, expect: {error: stride}}
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Return CASES as convsuite reads them."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "scipy.yaml").write_text(CASES)
    return load([folder]).cases


def test_every_case(cases):
    """Each is declared as its name says, and answered as the reference and the hand-computed numbers say."""
    backend = find("scipy").load()()
    assert len(cases) == 9
    for case in cases:
        level = backend.support(case).level
        assert case.id.rpartition("/")[2].partition("_")[0] == level
        if level != "unsupported":
            operands = fill(case)
            due = of(case).reference(case, operands, case.passes[0]).value
            np.testing.assert_array_equal(backend.conv(case, *operands), due)
            if case.expect.values:
                np.testing.assert_array_equal(due.ravel(), case.expect.values.values)
