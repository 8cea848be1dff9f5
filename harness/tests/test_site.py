"""The documentation as a site: made without a warning and without a network, of links that lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from convsuite.operations import OPERATIONS
from convsuite.schema import schema
from convsuite.schema.reference import reference

ROOT = Path(__file__).parents[2]
PAGES = ("README", "CHANGELOG", "CONTRIBUTING", *(f"docs/{p.stem}" for p in sorted((ROOT / "docs").glob("*.md"))))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOADS = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "use": "href",
}
# As `sphinx-build`, of which no call may reach out.
ALONE = """
import socket, sys
def refused(*args, **kwargs): raise OSError("a test has no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refused
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""

pytest.importorskip("sphinx", reason="sphinx is not installed: make dev")


class Page(HTMLParser):
    """What a page loads, where its links go, and where links may go in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads, self.links, self.anchors = [], [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given["id"]} if "id" in given else set()
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.loads += [given[LOADS[tag]]] if given.get(LOADS.get(tag, "")) else []


def make(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Do as `make docs` does."""
    words = [
        *re.search(r"sphinx-build (.*) -d \S+ ", (ROOT / "Makefile").read_text())[1].split(),
        "-d",
        f"{site}.trees",
    ]
    return subprocess.run(
        [sys.executable, "-c", ALONE, *words, ".", str(site)], cwd=source, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("docs") / "site"
    made = make(ROOT, site)
    assert (made.returncode, made.stderr) == (0, "")
    return site


def wrong(site: Path) -> list[str]:
    """All that leads nowhere, and all that would be loaded from elsewhere."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert pages
    told = []
    for path, page in pages.items():
        told += [f"{path.name} loads {url}" for url in page.loads if _elsewhere(url)]
        for link in page.links + page.loads:
            if not urlsplit(link).scheme and not _elsewhere(link):
                to = (path.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else path
                if not to.is_file() or (to in pages and unquote(urlsplit(link).fragment) not in pages[to].anchors):
                    told.append(f"{path.name} leads to {link}")
    for path in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        told += [
            f"{path.name} loads {url}"
            for url in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", text)
            if _elsewhere(url)
        ]
    for path in site.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        told += [
            f"{path.name} loads {url}"
            for url in re.findall(r"(?:src|href)\s*=\s*['\"]([^'\"]+)", text)
            if _elsewhere(url)
        ]
    return told


def _elsewhere(url: str) -> bool:
    return bool(urlsplit(url).netloc)


def test_the_site_has_each_page_and_each_leads_on(site):
    for page in PAGES:
        assert (site / f"{page}.html").is_file(), page
    start = {link.split("#")[0] for link in Page(site / "index.html").links}
    assert {f"{page}.html" for page in PAGES} - start <= {"README.html"}  # where one is: its link is "#"


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    assert wrong(site) == []


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "loads https://fonts.example/a.css"),
        ('<script src="//cdn.example/a.js"></script>', "loads //cdn.example/a.js"),
        ('<a href="docs/nosuch.html">', "leads to docs/nosuch.html"),
        ('<a href="docs/judging.html#nosuch">', "leads to docs/judging.html#nosuch"),
        ('<a href="#nosuch">', "leads to #nosuch"),
    ],
)
def test_what_is_wrong_is_found(site, planted, told):
    page = site / "planted.html"
    page.write_text(planted, encoding="utf-8")
    try:
        assert wrong(site) == [f"planted.html {told}"]
    finally:
        page.unlink()


def test_the_reference_has_every_key_of_every_operation(site):
    text = (site / "docs" / "case-file-reference.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="([\w-]+)">(.*?)</section>', text, re.DOTALL))
    told = {
        title: set(re.findall(r'<tr[^>]*><td><p><code[^>]*><span class="pre">(\w+)<', s))
        for title, s in sections.items()
    }
    for name in OPERATIONS:
        keys = schema()["$defs"][f"{name}.case"]["properties"]
        assert told[name.replace("_", "-")] | told["every-operation"] == set(keys), name
    assert told["channels"] == {"in", "out"}


def test_a_key_without_a_description_ends_the_build():
    made = deepcopy(schema())
    del made["$defs"]["max_pool.case"]["properties"]["tie"]["description"]
    with pytest.raises(ValueError, match="`max_pool`: the key tie has no description"):
        reference(made)


@pytest.mark.parametrize(
    "row",
    [
        "| `rank` | how many spatial axes; unless given, as sizes or values say, else 2 | integer from 1 to 3 |  |",
        "| `kernel` | the window: a size, or the weight's values | integer or list of integers or "
        "[mapping: kernel](#kernel) | (required) |",
        '| `passes` | what to compute and judge | list of `forward`, `grad_input`, `indices` | `["forward"]` |',
        "| `learning_rate` | what the gradient is multiplied by | number above 0 | `0.01` |",
        "| `flip` | the kernel is reversed, as JAX has it without `transpose_kernel` | `true`, `false` | `false` |",
        r"| `absolute` | \|x\| is raised; if not, x is, as PyTorch does, for whole powers | `true`, `false` | `true` |",
    ],
)
def test_what_a_key_takes_is_told(row):
    assert row in reference().splitlines()


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path):
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "docs" / "conf.py").write_text(
        (ROOT / "docs" / "conf.py").read_text().replace("NAVIGATION = {", "NAVIGATION = {}\n_ = {")
    )
    (source / "README.md").write_text("# Start\n\n[there](docs/nosuch.md)\n")
    made = make(source, tmp_path / "site")
    assert made.returncode != 0
    assert "docs/nosuch.md" in made.stderr


def test_the_search_works_from_the_file_system(site):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make dev")
    failed: list[str] = []
    with api.sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]).new_page()
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else failed.append(r.url))
        page.on("requestfailed", lambda r: failed.append(r.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.get_by_placeholder("Search").fill("multiplier")
        page.keyboard.press("Enter")
        page.locator("#search-results").get_by_role("link", name="Case-file reference").click()
        page.get_by_role("heading", name="Case-file reference").wait_for()
        assert failed == []
