"""How far right answers are apart: between backends, and from the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from convsuite.bench import units
from convsuite_reports import plot, svg
from convsuite_reports.budget import PER_DECADE, Budget, merged
from convsuite_reports.gathered import Gathered

if TYPE_CHECKING:
    from convsuite.store import Store

_STRIP, _STRIP_HIGH = 220.0, 18.0
_SHARES = (1e-3, 1e1)  # that a strip spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two backends, over all operations and passes or over one of each."""

    left: str
    right: str
    operation: str
    pass_: str
    compared: int
    identical: int
    max_units: float
    worst_case: str

    @property
    def level(self) -> str:
        """The step of colour: by decades of u·B."""
        if not self.max_units:
            return "same"
        return str(min(max(int(math.log10(self.max_units)) + 1, 0), 4)) if math.isfinite(self.max_units) else "4"

    @property
    def told(self) -> str:
        """The largest difference, or that there is none."""
        return "=" if not self.max_units else short(self.max_units)

    @property
    def share(self) -> str:
        """The share that is equal bit for bit; 100 only where it is all."""
        percent = 100 * self.identical / self.compared
        return f"{percent:.0f} %" if self.identical == self.compared else f"{min(percent, 99.9):.1f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How much of the expected bound one backend uses in one dtype."""

    backend: str
    dtype: str
    budget: Budget
    strip: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """All of it."""

    backends: tuple[str, ...]
    pairs: tuple[Pair, ...]  # by operation and pass
    whole: dict[tuple[str, str], Pair]  # over all
    operations: tuple[str, ...]
    passes: tuple[str, ...]
    uses: tuple[Use, ...]
    by_terms: tuple[tuple[str, Markup, tuple[tuple[int, str], ...]], ...]  # dtype, its plot, whose series are in it


def short(value: float) -> str:
    """Return a positive number in two or three digits, a large one by its power of ten: `0.92`, `256`, `1.7e7`."""
    if math.isinf(value):
        return "∞"
    if value >= 10_000:
        return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def agreement_of(store: Store, run: int, gathered: Gathered) -> Agreement:
    """Return how far a run's answers are apart."""
    pairs = tuple(_pairs(store, run))
    return Agreement(
        backends=tuple(sorted({name for p in pairs for name in (p.left, p.right)})),
        pairs=pairs,
        whole=_whole(pairs),
        operations=tuple(sorted({p.operation for p in pairs})),
        passes=tuple(sorted({p.pass_ for p in pairs})),
        uses=tuple(_uses(gathered)),
        by_terms=tuple(_by_terms(gathered)),
    )


def _pairs(store: Store, run: int) -> list[Pair]:
    query = "SELECT * FROM agreement WHERE run = ? ORDER BY operation, pass, left, right"
    return [
        Pair(
            left=r["left"], right=r["right"], operation=r["operation"], pass_=r["pass"], compared=r["compared"],
            identical=r["identical"], max_units=r["max_units"], worst_case=r["worst_case"],
        )
        for r in store.rows(query, (run,))
    ]  # fmt: skip


def _whole(pairs: tuple[Pair, ...]) -> dict[tuple[str, str], Pair]:
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.left, pair.right), []).append(pair)
    found = {}
    for (left, right), those in groups.items():
        worst = max(those, key=lambda p: p.max_units)
        whole = Pair(
            left=left, right=right, operation="", pass_="", compared=sum(p.compared for p in those),
            identical=sum(p.identical for p in those), max_units=worst.max_units, worst_case=worst.worst_case,
        )  # fmt: skip
        found[left, right] = found[right, left] = whole
    return found


def _uses(gathered: Gathered) -> list[Use]:
    keys = sorted({(dtype, backend) for backend, dtype, _ in gathered.budgets})
    uses = []
    for dtype, backend in keys:
        budget = merged(b for (own, of, _), b in gathered.budgets.items() if (own, of) == (backend, dtype))
        uses.append(Use(backend=backend, dtype=dtype, budget=budget, strip=_strip(budget, f"{backend}, {dtype}")))
    return uses


def _strip(budget: Budget, whose: str) -> Markup:
    """Return the distribution as a strip of bars: a bin is a bar, the line is the bound."""
    most = max(budget.bins) or 1
    first, last = (math.log10(share) for share in _SHARES)
    wide = _STRIP / ((last - first) * PER_DECADE)
    begin = int((first + 6) * PER_DECADE)
    bars = []
    for place, n in enumerate(budget.bins[begin : begin + int((last - first) * PER_DECADE)]):
        if n:
            high = max(1.5, (_STRIP_HIGH - 2) * n / most)
            bars.append(
                svg.tag("rect", x=place * wide, y=_STRIP_HIGH - high, width=wide - 0.6, height=high, class_="bin")
            )
    bound = -first * PER_DECADE * wide
    lines = [svg.line(0, _STRIP_HIGH, _STRIP, _STRIP_HIGH, "base"), svg.line(bound, 0, bound, _STRIP_HIGH, "limit")]
    title = f"{whose}: median {budget.quantile(0.5):.2g}, at most {budget.max_expected:.2g} of the expected bound"
    return svg.drawing(_STRIP, _STRIP_HIGH + 1, title, *bars, *lines, class_="chart strip")


def _by_terms(gathered: Gathered) -> list[tuple[str, Markup, tuple[tuple[int, str], ...]]]:
    """Return for each dtype the worst error against K, beside what is expected at most of real sums."""
    found = []
    for dtype in sorted({dtype for _, dtype, size in gathered.budgets if size >= 0}):
        series = tuple(
            plot.Series(name=backend, number=number, points=points, joined=True)
            for number, backend in enumerate(gathered.backends)
            if (points := _worst(gathered, backend, dtype))
        )
        drawn = plot.draw(
            plot.Plot(
                title=f"worst error in u·B against K, {dtype}",
                x=plot.Axis(title="K, products in one sum", label=lambda v: units.digits(v) if v < 1 else f"{v:,.0f}"),
                y=plot.Axis(title="worst error, u·B", label=lambda v: f"{v:g}"),
                series=series,
            )
        )
        if drawn:
            found.append((dtype, drawn, tuple((s.number, s.name) for s in series)))
    return found


def _worst(gathered: Gathered, backend: str, dtype: str) -> tuple[plot.Point, ...]:
    own = [(size, b) for (name, of, size), b in gathered.budgets.items() if (name, of) == (backend, dtype)]
    budgets = sorted(own, key=lambda item: item[0])
    return tuple(
        plot.Point(
            x=2.0**size,
            y=b.max_units,
            label=f"{backend}, K from {2**size} to {2 ** (size + 1) - 1}: {b.max_units:.3g} u·B, {b.count} answers",
        )
        for size, b in budgets
        if size >= 0 and math.isfinite(b.max_units)
    )
