"""The suites of level real: which problems of which lists they have, and how their files begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from .problems import Problem, problems, unique

LARGEST = 2**28  # elements of input, weight and output


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What a network, or a list, becomes: a file of its name for each operation that it has."""

    name: str
    what: str
    kind: str = "conv"  # of CSV file
    lists: tuple[str, ...] = ()  # its own name, unless said
    networks: tuple[str, ...] = ()  # of a list of several: only these, and a layer's name begins with its network
    tag: str = "network"
    note: str = ""

    def problems(self) -> list[Problem]:
        """Return the problems, by operation."""
        lists = self.lists or (self.name,)
        found = [p for p in problems(self.kind) if p.row["list"] in lists]
        return sorted((p for p in found if p.network in self.networks or not self.networks), key=lambda p: p.OPERATION)

    def label(self, problem: Problem) -> str:
        return f"{problem.network}.{problem.layer}" if self.networks else problem.layer


@dataclass(frozen=True)
class Pick:
    """A problem of the smoke suite: where it stands, and its name there."""

    kind: str
    list: str
    layer: str
    name: str


HEAD = """\
# {what}, {operation}: {count}.
# Made by benchmarks/make_problem_cases.py; the shapes come from oneDNN's benchdnn (Apache-2.0){origin}.
# Batch 1; nothing else is scaled. For `convsuite bench`.{note}
#
# Worth it because {why}.
operation: {operation}
description: {what}.
defaults:
  level: real
  fill: normal
  passes: [{passes}]
  tags: [{tag}, {name}]
cases:
"""
WHY = """what a layer costs hangs on its shape, and a network takes the sum over its layers, each as often as
# it is there: a library that is fast at one of them need not be so at the next"""
WHY_SMOKE = """a change that makes a kind of layer slow shows in one problem of that kind. None is so small that
# only the call is timed, and none takes long"""
DEEPBENCH = "Repeats are how often the lists have a shape, with whatever batch."
SEVERAL = ("alexnet", "googlenet_v1", "masknet_p1", "resnet_50", "unet_3d")

SUITES = (
    Suite(name="resnet_50_v1_5", what="The layers of ResNet-50 v1.5"),
    Suite(name="vgg_19", what="The layers of VGG-19"),
    Suite(
        name="mobilenet",
        what="The layers of MobileNet",
        lists=("mobilenet", "mobilenet_dw"),
        note="Repeats are as listed: 1 of depthwise layers, of the others about four times those of one network.",
    ),
    Suite(name="unet", what="The layers of U-Net"),
    Suite(name="efficientdet", what="The layers of EfficientDet"),
    Suite(name="googlenet_v3", what="The layers of GoogLeNet v3 (Inception v3)"),
    Suite(name="3d_unet", what="The layers of 3D U-Net"),
    Suite(name="1d_wavenet", what="The layers of WaveNet"),
    Suite(name="deepbench_training", what="Convolutions of DeepBench, training", tag="deepbench", note=DEEPBENCH),
    Suite(
        name="deepbench_inference",
        what="Convolutions of DeepBench, inference",
        lists=("deepbench_inference_server", "deepbench_inference_device"),
        tag="deepbench",
        note=DEEPBENCH,
    ),
    Suite(
        name="networks_1d",
        what="Layers of networks on one axis, transposed",
        kind="transposed",
        lists=("1d",),
        networks=SEVERAL,
    ),
    Suite(
        name="networks_2d", what="Layers of networks, transposed", kind="transposed", lists=("2d",), networks=SEVERAL
    ),
    Suite(
        name="networks_3d", what="A layer of 3D U-Net, transposed", kind="transposed", lists=("3d",), networks=SEVERAL
    ),
    Suite(name="dilated", what="Layers of networks, transposed and dilated", kind="transposed"),
    # the lists have one ResNet-50, whose pools are those of v1.5
    Suite(name="resnet_50_v1_5", what="The pools of ResNet-50", kind="pool", lists=("resnet_50",)),
    Suite(name="alexnet", what="The pools of AlexNet", kind="pool"),
    Suite(name="googlenet_v1", what="The pools of GoogLeNet v1", kind="pool"),
    Suite(name="googlenet_v3", what="The pools of GoogLeNet v3 (Inception v3)", kind="pool"),
    Suite(name="i3d_resnet50_v1", what="The pools of I3D ResNet-50", kind="pool"),
    Suite(name="3d_unet", what="The pools of 3D U-Net", kind="pool"),
)
SMOKE = (
    Pick("conv", "resnet_50_v1_5", "res2a_branch2b", "resnet_3x3"),
    Pick("conv", "1x1", "res3a_branch2a", "strided_1x1"),
    Pick("conv", "mobilenet", "conv1", "stem"),
    Pick("conv", "alexnet", "conv5", "grouped"),
    Pick("conv", "1d_wavenet", "conv1d_5", "one_axis"),
    Pick("conv", "3d_i3d", "k3x3x3_32to128_8x7x7", "three_axes"),
    Pick("conv", "mobilenet_dw", "conv3_1_dw", "mobilenet_3x3"),
    Pick("transposed", "2d", "inception_3a_3x3", "inception_3x3"),
    Pick("pool", "googlenet_v3", "max_pool_mixed_3_pool", "strided_3x3"),
    Pick("pool", "googlenet_v3", "ave_pool_mixed_pool", "inception_3x3"),
)


def suites() -> Iterator[tuple[str, str]]:
    """Yield each file, as its path below the cases and its text."""
    for suite in SUITES:
        for operation, group in groupby(suite.problems(), key=lambda p: p.OPERATION):
            yield f"{operation}/{suite.name}.yaml", _text(suite, list(group))
    picked = [(pick.name, _found(pick)) for pick in SMOKE]
    for operation, some in groupby(picked, key=lambda one: one[1].OPERATION):
        yield f"{operation}/bench_smoke.yaml", _smoke(list(some))


def _text(suite: Suite, found: list[Problem]) -> str:
    """Return a suite's file of one operation: each shape once, with the repeats of all that have it."""
    fitting = [p for p in found if p.elements <= LARGEST]
    repeats = Counter[tuple[str, ...]]()
    for problem in fitting:
        repeats[problem.shape] += problem.number("repeats")
    shapes = list({p.shape: p for p in reversed(fitting)}.values())[::-1]
    count, total = counted(len(shapes), "shape"), repeats.total()
    if total > len(shapes):
        count += f", {total} with repeats"
    if left := len(found) - len(fitting):
        count += f"; left out: {left} of more than 2^28 elements of input, weight and output"
    head = _head(found[0], what=suite.what, count=count, why=WHY, tag=suite.tag, name=suite.name, note=suite.note)
    named = zip(unique(map(suite.label, shapes)), shapes, strict=True)
    return head + "\n".join(p.case(name, **_repeated(repeats[p.shape])) for name, p in named)


def _repeated(times: int) -> dict[str, str]:
    return {"repeats": str(times)} if times > 1 else {}


def _smoke(picked: list[tuple[str, Problem]]) -> str:
    count = counted(len(picked), "problem")
    head = _head(picked[0][1], what="A quick benchmark", count=count, why=WHY_SMOKE, tag="bench", name="bench_smoke")
    return head + "\n".join(problem.case(name) for name, problem in picked)


def _found(pick: Pick) -> Problem:
    (problem,) = (p for p in problems(pick.kind) if (p.row["list"], p.layer) == (pick.list, pick.layer))
    return problem


def _head(one: Problem, *, note: str = "", **said: str) -> str:
    """Return how a file begins whose problems are of the same operation as one."""
    origin = ", whose DeepBench lists\n# come from DeepBench (Apache-2.0)" if said["tag"] == "deepbench" else ""
    note = f"\n# {note}" if note else ""
    return HEAD.format(operation=one.OPERATION, passes=one.PASSES, origin=origin, note=note, **said)


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
