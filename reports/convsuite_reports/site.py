"""Pages as files: a folder of them that needs no server, or all in one file to attach.

What comes from outside (names of cases and backends, texts of exceptions) is text to the templates, which escape it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from convsuite.errors import ConvsuiteError
from convsuite.store import is_database
from convsuite_reports.needed import needed
from convsuite_reports.runinfo import Run

NAV = (
    ("index", "Overview"),
    ("matrix", "Matrix"),
    ("agreement", "Agreement"),
    ("findings", "Findings"),
    ("performance", "Performance"),
    ("history", "History"),
)
_OURS = ".convsuite-report"  # says that a folder is one of ours, which may be written over
_ASSETS = ("report.css", "report.js")
_BELOW = ("cases", "findings", "assets")  # folders that are ours

Link = Callable[..., str]


class Site(Protocol):
    """Where pages go."""

    def link(self, page: str) -> Link:
        """Return what makes addresses of pages, for links on a page."""

    def add(self, name: str, title: str, template: str, page: Any, **more: Any) -> None:
        """Write a page."""

    def close(self) -> Path:
        """Finish, and return the file to open."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with a file for each page."""

    path: Path
    run: Run
    shared: dict[str, Any]
    environment: Any = field(default_factory=lambda: _environment())

    def prepare(self) -> None:
        """Empty the folder of an earlier report. Raise ConvsuiteError where it holds something else."""
        if self.path.exists() and not self.path.is_dir():
            raise ConvsuiteError(f"{self.path}: is no folder; name another with -o")
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / _OURS).exists():
            raise ConvsuiteError(f"{self.path}: is not empty, and no report; name another folder with -o")
        for name in _BELOW:
            shutil.rmtree(self.path / name, ignore_errors=True)
            (self.path / name).mkdir(parents=True)
        (self.path / _OURS).touch()
        for name in _ASSETS:
            (self.path / "assets" / name).write_text(_static(name), encoding="utf-8")

    def link(self, page: str) -> Link:
        """Return what makes addresses relative to a page."""
        root = _root(page)

        def address(name: str, **state: str) -> str:
            return f"{root}{quote(name)}.html{'#?' + urlencode(state) if state else ''}"

        return address

    def add(self, name: str, title: str, template: str, page: Any, **more: Any) -> None:
        """Write a page's file."""
        text = self.environment.get_template(template).render(
            layout="layout.html", name=name, title=title, page=page, run=self.run, root=_root(name),
            link=self.link(name), nav=NAV, **self.shared, **more,
        )  # fmt: skip
        (self.path / f"{name}.html").write_text(text, encoding="utf-8")

    def close(self) -> Path:
        """Return the first page."""
        return self.path / "index.html"


@dataclass(frozen=True, slots=True)
class SingleFile:
    """One file with all pages in it, of which one is shown at a time."""

    path: Path
    run: Run
    shared: dict[str, Any]
    environment: Any = field(default_factory=lambda: _environment())
    sections: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Raise ConvsuiteError where the file has no place."""
        if self.path.is_dir() or not self.path.absolute().parent.is_dir():
            why = "is a folder" if self.path.is_dir() else f"there is no folder {self.path.parent}"
            raise ConvsuiteError(f"{self.path}: {why}; name a file with -o")
        if is_database(self.path):
            raise ConvsuiteError(f"{self.path}: is a database, and left as it is; name another file with -o")

    def link(self, page: str) -> Link:
        """Return what makes addresses within the file."""

        def address(name: str, **state: str) -> str:
            return f"#{quote(name)}{'?' + urlencode(state) if state else ''}"

        return address

    def add(self, name: str, title: str, template: str, page: Any, **more: Any) -> None:
        """Keep a page until the file is written."""
        from markupsafe import Markup

        text = self.environment.get_template(template).render(
            layout="section.html", name=name, title=title, page=page, run=self.run, root="",
            link=self.link(name), nav=NAV, **self.shared, **more,
        )  # fmt: skip
        self.sections[name] = Markup(text)

    def close(self) -> Path:
        """Write the file: the first page first, which is what is seen without a script."""
        from markupsafe import Markup

        css, js = (Markup(_static(name)) for name in _ASSETS)
        order = [name for name, _ in NAV if name in self.sections]
        order += [name for name in self.sections if name not in order]
        text = self.environment.get_template("single.html").render(
            sections=[self.sections[name] for name in order], css=css, js=js, run=self.run, name="index",
            title_end=f" – convsuite, run {self.run.number}", link=self.link("index"), nav=NAV, **self.shared,
        )  # fmt: skip
        self.path.write_text(text, encoding="utf-8")
        return self.path


def _root(name: str) -> str:
    return "../" * name.count("/")


def _static(name: str) -> str:
    return (files(__package__) / "static" / name).read_text(encoding="utf-8")


def _environment() -> Any:
    jinja2 = needed("jinja2", "convsuite report")
    return jinja2.Environment(
        loader=jinja2.PackageLoader("convsuite_reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
