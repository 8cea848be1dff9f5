"""Problems of real networks, as the CSV files beside the cases hold them: a row each, and how a case file writes it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import ClassVar

CASES = Path(__file__).parents[1] / "cases" / "convsuite_cases"
ORIGIN = ("list", "name", "repeats", "n")  # columns that say where a problem is from: the batch is 1 here


def fit(text: str) -> str:
    """Return a text as part of an id."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_")


def unique(names: Iterable[str]) -> Iterator[str]:
    """Yield each name, with a number where there was one like it."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}.{seen[name]}"


@dataclass(frozen=True)
class Problem:
    """One row, of whatever operation."""

    row: Mapping[str, str]

    OPERATION: ClassVar[str]
    PASSES: ClassVar[str] = "forward, grad_input, grad_weight"

    def axes(self, key: str) -> tuple[int, ...]:
        return tuple(int(n) for n in self.row[key].split("x"))

    def number(self, key: str) -> int:
        return int(self.row.get(key, 1))

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of input and output, totals over all groups."""
        return self.number("c_in"), self.number("c_out")

    @property
    def weight(self) -> int:
        """Elements of the weight."""
        return prod(self.axes("kernel")) * prod(self.channels) // self.number("groups")

    @property
    def elements(self) -> int:
        """Elements of input, weight and output."""
        c_in, c_out = self.channels
        return prod(self.axes("input")) * c_in + self.weight + prod(self.axes("output")) * c_out

    @property
    def shape(self) -> tuple[str, ...]:
        """All that makes it another problem."""
        return tuple(value for key, value in self.row.items() if key not in ORIGIN)

    @property
    def network(self) -> str:
        return self.row["name"].rpartition(":")[0]

    @property
    def layer(self) -> str:
        """The layer's name without its network's, fit for an id; its shape, in short, where it has none."""
        (c_in, c_out), stride = self.channels, self.row["stride"]
        strided = "" if {*self.axes("stride")} == {1} else f"_s{stride}"
        name = self.row["name"].rpartition(":")[2]
        return fit(name) or f"k{self.row['kernel']}_{c_in}to{c_out}_{self.row['input']}{strided}"

    @property
    def plain_stride(self) -> tuple[int, ...]:
        """The stride that goes without saying."""
        return (1,) * len(self.axes("kernel"))

    @property
    def pads(self) -> list[tuple[int, int]]:
        """(low, high) of each axis."""
        return list(zip(self.axes("pad_low"), self.axes("pad_high"), strict=True))

    def keys(self) -> dict[str, str]:
        """Return the keys of a case, as YAML, that say what is computed; none that goes without saying."""
        ones = (1,) * len(self.axes("kernel"))
        plain = {"stride": self.plain_stride, "dilation": ones}
        window = {key: self.axes(key) for key in ("input", "kernel", "stride", "dilation")}
        keys = {key: str(list(value)) for key, value in window.items() if value != plain.get(key)}
        low = self.pads[0][0]
        padding = str(low) if {*self.pads} == {(low, low)} else str([list(pair) for pair in self.pads])
        return keys | ({"padding": padding} if padding != "0" else {})

    def case(self, name: str, **more: str) -> str:
        """Return the case as YAML, with more keys at its end."""
        shape = [1, self.channels[1], *self.axes("output")]
        source = f"oneDNN benchdnn, list {self.row['list']}" + (f", {self.row['name']}" if self.row["name"] else "")
        keys = self.keys() | {"expect": f"{{shape: {shape}}}", "source": f'"{source}"'} | more
        return f"  - name: {name}\n" + "".join(f"    {key}: {value}\n" for key, value in keys.items())


class Conv(Problem):
    """A convolution, with groups."""

    OPERATION = "conv"

    @property
    def flops(self) -> int:
        return 2 * prod(self.axes("output")) * self.weight

    def keys(self) -> dict[str, str]:
        c_in, c_out = self.channels
        groups = {"groups": self.row["groups"]} if self.number("groups") > 1 else {}
        return {"channels": f"{{in: {c_in}, out: {c_out}}}", **groups, **super().keys()}


class Depthwise(Problem):
    """A convolution of as many groups as channels."""

    OPERATION = "depthwise_conv"

    def keys(self) -> dict[str, str]:
        c_in, c_out = self.channels
        more = {"multiplier": str(c_out // c_in)} if c_out > c_in else {}
        return {"channels": str(c_in), **more, **super().keys()}


class Transposed(Conv):
    """A transposed convolution.

    By what less is cropped at an axis' end than at its beginning, its output_padding is more: that computes the same,
    and most frameworks take no other form.
    """

    OPERATION = "conv_transpose"

    @property
    def more(self) -> tuple[int, ...]:
        """What output_padding adds at the end of each axis; all of it 0 where an axis cannot say it so."""
        crops = zip(self.axes("crop_low"), self.axes("crop_high"), strict=True)
        more = tuple(low - high for low, high in crops)
        steps = zip(more, self.axes("stride"), self.axes("dilation"), strict=True)
        return more if all(0 <= m < max(s, d) for m, s, d in steps) else (0,) * len(more)

    @property
    def pads(self) -> list[tuple[int, int]]:
        crops = zip(self.axes("crop_low"), self.axes("crop_high"), self.more, strict=True)
        return [(low, high + more) for low, high, more in crops]

    def keys(self) -> dict[str, str]:
        return super().keys() | ({"output_padding": str(list(self.more))} if any(self.more) else {})


class MaxPool(Problem):
    """A max pool, which steps by its own size unless a stride is said."""

    OPERATION = "max_pool"
    PASSES = "forward, grad_input"

    @property
    def channels(self) -> tuple[int, int]:
        return self.number("channels"), self.number("channels")

    @property
    def weight(self) -> int:
        return 0

    @property
    def plain_stride(self) -> tuple[int, ...]:
        return self.axes("kernel")

    def keys(self) -> dict[str, str]:
        return {"channels": self.row["channels"], **super().keys()}


class AvgPool(MaxPool):
    """An average pool."""

    OPERATION = "avg_pool"


def _conv(row: Mapping[str, str]) -> Problem:
    return Depthwise(row) if 1 < int(row["groups"]) == int(row["c_in"]) else Conv(row)


def _pool(row: Mapping[str, str]) -> Problem:
    """Return a max pool unless the layer's name says otherwise: the lists are for both."""
    return AvgPool(row) if re.search(r"\b(ave|avg)_", row["name"]) else MaxPool(row)


KINDS = {"conv": _conv, "transposed": Transposed, "pool": _pool}


def rows(kind: str) -> list[dict[str, str]]:
    with (CASES / "data" / f"{kind}_problems.csv").open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def problems(kind: str) -> list[Problem]:
    """Return all problems of a CSV file, each in the operation that has it."""
    return [KINDS[kind](row) for row in rows(kind)]
