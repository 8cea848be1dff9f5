"""Drawings show what is there: every wrong square, tap and point; and what came from outside is no markup in them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from convsuite.evidence import Evidence, Plane
from convsuite_reports import errormap, geometry, plot, svg


def elements(drawn: Markup, name: str, class_: str) -> list[ElementTree.Element]:
    found = ElementTree.fromstring(drawn).iter(name)
    return [e for e in found if class_ in (e.get("class") or "").split()]


def test_text_and_attributes_are_escaped():
    drawn = svg.drawing(1, 1, '"><script>', svg.text(0, 0, "<b>&"), svg.marker(1, 1, 0, "<i>"))
    ElementTree.fromstring(drawn)
    assert not re.search(r"<(script|b|i)>", drawn)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(1, 100, [1, 10, 100]), (2, 3, [1, 10]), (10, 10, [10, 100]), (0.02, 0.5, [0.01, 0.1, 1])],
)
def test_decades_enclose_what_they_are_for(low, high, ticks):
    assert list(svg.decades(low, high)) == pytest.approx(ticks)


def _evidence(*planes: str, shape: tuple[int, ...] = (1, 2, 3, 4), pass_: str = "forward") -> Evidence:
    return Evidence(
        case_id="conv/a/x", pass_=pass_, backend="torch", shape=shape, elements=(),
        planes=tuple(Plane(index=(0, i), block=(1, 1), map=each) for i, each in enumerate(planes)),
    )  # fmt: skip


def squares(drawn: Markup, level: str) -> float:
    """Return the area of a level, in squares, and check that each run is a rectangle."""
    (path,) = elements(drawn, "path", f"e-{level}")
    runs = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-([\d.]+)z", path.get("d") or "")
    assert all(wide == back for _, _, wide, _, back in runs)
    return sum(float(wide) / float(high) for _, _, wide, high, _ in runs)


def test_an_error_map_has_each_square_once():
    ((heading, drawn),) = errormap.drawings(_evidence("..99\n.x-9\n3.?."))
    assert heading == "N 0, C 0: H down, W across"
    areas = {level: squares(drawn, level) for level in ("right", "large", "special", "small", "unchecked")}
    assert areas == {"right": 6, "large": 3, "special": 1, "small": 1, "unchecked": 1}


def test_an_error_map_is_told_in_words():
    assert errormap.told(_evidence("..99\n.x-9", "9...\n....")) == "5 of 16 squares in 2 planes are wrong"


@pytest.mark.parametrize(
    ("shape", "pass_", "heading"),
    [
        ((2, 3, 4, 5, 6), "forward", "N 0, C 1, D 2: H down, W across"),
        ((2, 3, 4), "grad_input", "N 0: C down, L across"),
        ((2, 3, 4, 5), "grad_weight", "C_out 0, C_in 1: kH down, kW across"),
        ((7,), "grad_bias", "axis 0 across"),
    ],
)
def test_axes_are_named(shape, pass_, heading):
    plane = Plane(index=tuple(range(len(shape) - 2)), block=(1, 1), map="9")
    evidence = Evidence(case_id="a", pass_=pass_, backend="b", shape=shape, planes=(plane,), elements=())
    assert errormap.drawings(evidence)[0][0] == heading


def test_each_tap_of_each_window_is_drawn(shipped):
    drawn = geometry.drawings(shipped("conv/basic/padding"))
    assert len(drawn) == 2
    for heading, picture in drawn:
        assert "padding 1 before, 1 after" in heading
        windows, kernel = 4, 2
        assert len(elements(picture, "rect", "tap")) == windows * kernel
        assert len(elements(picture, "rect", "padding")) == 2


def test_a_case_that_must_be_refused_has_no_drawing(shipped):
    assert geometry.drawings(shipped("conv/basic/stride_zero")) == []


def _plot(*points: tuple[float, float], limits: tuple[plot.Limit, ...] = ()) -> Markup:
    axis = plot.Axis(title="x", label=str)
    series = plot.Series(name="a", number=0, points=tuple(plot.Point(x=x, y=y, label="p") for x, y in points))
    return plot.draw(plot.Plot(title="t", x=axis, y=axis, series=(series,), limits=limits))


def test_a_plot_has_each_point_within_its_frame():
    drawn = _plot((1, 1), (1e3, 5e-3), (7, 2e6))
    marks = elements(drawn, "path", "mark")
    assert len(marks) == 3
    for mark in marks:
        x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)", mark.get("d") or "").groups())
        assert 50 <= x <= 720
        assert 0 <= y <= 400


def test_a_plot_of_nothing_is_nothing():
    assert _plot() == ""
    assert _plot((0, 1)) == ""


def test_a_limit_is_within_the_frame():
    limit = plot.Limit(points=((1e-9, 1e-9), (10, 100), (1e9, 100)))
    (line,) = elements(_plot((1, 1), (100, 50), limits=(limit,)), "path", "limit")
    numbers = [float(n) for n in re.findall(r"[\d.]+", line.get("d") or "")]
    assert all(0 <= n <= 720 for n in numbers)
