"""SciPy as a backend of convsuite: scipy.signal, rank 1 to 3, one group."""

import numpy as np
from scipy import signal

from convsuite.backend import Backend
from convsuite.case import Support


class Scipy(Backend):
    """Calls `correlate`, or `convolve` where the kernel is flipped, for each pair of channels."""

    requires = ("scipy",)

    def support(self, case):
        plain = {case.groups, *case.dilation} == {1} and case.padding.mode == "zeros" and not case.padding.negative
        if not plain or case.dtype in ("float16", "bfloat16") or 0 in (*case.input_shape, case.out_channels):
            return Support.unsupported("SciPy has no groups, dilation, other padding, half precision, empty arrays")
        if case.layout == "channels_last" or case.memory_formats or case.expect.error:
            return Support.unsupported("layouts, views and invalid arguments would test this file, not SciPy")
        bare = {*case.stride, *case.padding.kinds} == {1, "valid"} and not case.bias
        one_call = bare and case.input_shape[:2] == case.weight_shape[:2] == (1, 1)
        return Support.native() if one_call else Support.composed("np.pad, a sum of calls over channels, slicing")

    def conv(self, case, x, weight, bias=None):
        slide = signal.convolve if case.flip else signal.correlate
        x = np.pad(x, [(0, 0), (0, 0), *case.padding.pads])
        y = [[sum(slide(n[c], o[c], "valid", "direct") for c in range(len(o))) for o in weight] for n in x]
        y = np.array(y)[:, :, *(slice(None, None, step) for step in case.stride)]
        return y if bias is None else y + bias.reshape(-1, *[1] * case.rank)
