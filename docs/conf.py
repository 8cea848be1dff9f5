"""The site: `make docs` makes it with Sphinx, of the texts as they stand, so that links lead on here as on GitHub.

The source folder is the repository. What only a site has is made here: the navigation, and the case-file reference.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from convsuite.schema.reference import reference

project = "convsuite"
project_copyright = "The convsuite authors"

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "examples/*/README.md", "reports/recorded/*/README.md"]
# Folders without pages, which need not be walked.
exclude_patterns = [
    ".*",
    "backends",
    "benchmarks",
    "build",
    "cases",
    "dist",
    "harness",
    "reports/convsuite_reports",
    "reports/tests",
]
nitpicky = True
myst_heading_anchors = 4  # by GitHub's rule

html_theme = "furo"  # its fonts are the system's, and it follows the light or dark that the reader's system is in
html_title = project
html_copy_source = False
html_show_search_summary = False  # a page from the file system cannot fetch the others

NAVIGATION = {
    "Start": ("docs/concepts",),
    "Write cases": ("docs/case-files", "docs/case-file-reference", "docs/judging"),
    "Run them": ("docs/pytest", "docs/bench", "docs/asv", "docs/reports"),
    "Frameworks": (
        "docs/findings",
        "docs/porting",
        "docs/add-a-backend",
        "examples/convsuite-scipy/README",
        "docs/engine",
        "reports/recorded/2026-11-27-h200/README",
    ),
    "The project": ("CHANGELOG", "CONTRIBUTING"),
}


class CaseFileReference(SphinxDirective):
    """Every key of a case file, of this very version."""

    def run(self) -> list[nodes.Node]:
        """Return the page's sections; a key without a description ends the build."""
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


def _navigation(app: Any, docname: str, source: list[str]) -> None:
    """Put the navigation behind the README, which has none on GitHub."""
    if docname == root_doc:
        for caption, pages in NAVIGATION.items():
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```\n"])


def _index(app: Any, failure: Exception | None) -> None:
    """Give the first page the name that a folder is opened with."""
    if failure is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Any) -> None:
    """Tell Sphinx of what is made here."""
    app.add_directive("case-file-reference", CaseFileReference)
    app.connect("source-read", _navigation)
    app.connect("build-finished", _index)
