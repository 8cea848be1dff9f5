"""Drawings as text: SVG elements, escaped, with as few digits as the eye needs. Colours are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Iterator

from markupsafe import Markup, escape

COLOURS = 6  # that the style sheet has for series
_SHAPES = ("circle", "square", "diamond", "triangle", "cross")


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element. `class_` is `class`, `stroke_width` is `stroke-width`; an attribute that is None is left out.

    Children that are no markup are text, and escaped.
    """
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def drawing(width: float, height: float, title: str, *children: Markup, class_: str = "chart") -> Markup:
    """Return an image of its own with a title, which is what a screen reader reads."""
    view = f"0 0 {number(width)} {number(height)}"
    return tag("svg", *children, viewBox=view, width=width, height=height, role="img", aria_label=title, class_=class_)


def text(x: float, y: float, words: object, anchor: str = "start", class_: str | None = None) -> Markup:
    """Return text; `anchor` is start, middle or end."""
    return tag("text", words, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: list[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    return tag("path", d="M" + "L".join(f"{number(x)} {number(y)}" for x, y in points), class_=class_)


def marker(x: float, y: float, series: int, title: str = "", faint: bool = False, colour: str = "") -> Markup:
    """Return a series' sign: its shape tells it apart as well as its colour. A faint one is hollow."""
    class_ = f"mark {colour or f's{series % COLOURS}'}{' faint' if faint else ''}"
    children = (tag("title", title),) if title else ()
    return tag("path", *children, d=_shape(_SHAPES[series % len(_SHAPES)], x, y), class_=class_)


def number(value: float) -> str:
    """Return a coordinate to a tenth."""
    return f"{round(value, 1):g}"


def decades(low: float, high: float) -> Iterator[float]:
    """Yield the powers of ten from the last at or below `low` to the first at or above `high`."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    yield from (10.0**power for power in range(first, max(last, first + 1) + 1))


def _name(key: str) -> str:
    return key.rstrip("_") if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return number(value) if isinstance(value, float | int) else escape(value)


def _shape(shape: str, x: float, y: float, r: float = 4.5) -> str:
    match shape:
        case "circle":
            return f"M{number(x - r)} {number(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
        case "square":
            return f"M{number(x - r + 0.5)} {number(y - r + 0.5)}h{2 * r - 1}v{2 * r - 1}h{1 - 2 * r}z"
        case "diamond":
            return f"M{number(x)} {number(y - r - 1)}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z"
        case "triangle":
            return f"M{number(x)} {number(y - r)}l{r} {2 * r - 1}h{-2 * r}z"
    third = 1.6
    return (
        f"M{number(x - third)} {number(y - r)}h{2 * third}v{r - third}h{r - third}v{2 * third}h{third - r}v{r - third}"
        f"h{-2 * third}v{third - r}h{third - r}v{-2 * third}h{r - third}z"
    )
