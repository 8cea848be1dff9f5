"""The dashboard as a reader sees it: in a browser that reaches no other machine, its grid and its graphs have lines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

BENCHMARK = "conv.samples_passes"
PARAMS = [["'small'", "'large'"], ["'numpy_im2col'", "'jax'"], ["'forward'"], ["'cpu'"]]
VERSIONS = ("0.9.2", "0.10.2")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

# of a flot graph that asv drew: the points of each series, as flot keeps them
POINTS = "element => jQuery(element).data('plot').getData().map(s => s.data.filter(p => p && p[1] != null).length)"


@pytest.fixture
def pages(project: Any) -> Path:
    """The published pages of one benchmark at each commit, with two versions of a framework."""
    info = {"name": BENCHMARK, "params": PARAMS, "param_names": ["case", "backend", "pass", "device"], "version": "1"}
    more = {"code": "", "type": "time", "unit": "seconds", "timeout": 60}
    project.write("results/benchmarks.json", {"version": 2, BENCHMARK: info | more})
    project.write("results/here/machine.json", {"version": 1, **project.machine})
    for (i, commit), version in product(enumerate(project.commits), VERSIONS):
        results = _results(i, version) | {"commit_hash": commit, "params": {**project.machine, "jax": version}}
        project.write(f"results/here/{commit[:8]}-jax{version}.json", results)
    done = project.asv("publish")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "need the network" not in done.stdout
    return Path(project.folder / "html")


def _results(i: int, version: str) -> dict[str, Any]:
    """Return most of a results file of asv's: times that grow from commit to commit, the last combination without."""
    times = [1e-3 * (i + k + 1) for k, _ in enumerate(product(*PARAMS))]
    row = [[*times[:-1], None], PARAMS, "1"]
    environment = {"python": "3.11", "requirements": {"jax": version}, "env_vars": {}, "env_name": f"jax{version}"}
    results = {"result_columns": ["result", "params", "version"], "results": {BENCHMARK: row}, "durations": {}}
    return {"version": 2, "date": 10**12 + i, **environment, **results}


@pytest.fixture
def address(pages: Path) -> Iterator[str]:
    """Where the pages are served, on this machine only."""
    handler = partial(_Quiet, directory=str(pages))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page of a browser that may ask nobody but our server; at the end, nothing has gone wrong in it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make dev")
    wrong: list[str] = []

    def only_ours(route: Any) -> None:
        if route.request.url.startswith(address):
            route.continue_()
        else:
            wrong.append(f"asked for {route.request.url}")
            route.abort()

    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1300, "height": 850})
        page.route("**/*", only_ours)
        page.on("pageerror", lambda error: wrong.append(f"raised {error}"))
        page.on("requestfailed", lambda request: wrong.append(f"did not get {request.url}"))
        page.on("response", lambda r: r.status >= 400 and wrong.append(f"got {r.status} for {r.url}"))
        yield page
        chromium.close()
    assert wrong == []


def test_the_grid(page, address, project):
    """A panel for the benchmark, with a line in it for each framework version."""
    page.goto(address)
    panel = page.locator("#summarygrid-display canvas.flot-base").first
    panel.wait_for()
    assert BENCHMARK.partition(".")[2] in page.locator("#summarygrid-display").inner_text()
    lines = page.locator("#summarygrid-display div:has(> canvas.flot-base)").first.evaluate(POINTS)
    assert [n for n in lines if n >= len(project.commits)]


def test_a_graph(page, address, project):
    """Each combination that has times has a point for each commit; a version of the framework is a button."""
    page.goto(f"{address}#{BENCHMARK}?jax=0.9.2&jax=0.10.2")
    page.locator("#main-graph canvas.flot-base").wait_for()
    page.wait_for_function("jQuery('#main-graph').data('plot').getData().length > 1")
    lines = page.locator("#main-graph").evaluate(POINTS)
    combinations = len(list(product(*PARAMS))) - 1
    assert lines.count(len(project.commits)) == combinations * len(VERSIONS)
    buttons = page.locator("#graphdisplay-navigation").inner_text()
    assert all(version in buttons for version in VERSIONS)


def test_every_script_is_the_one_that_asv_wants(page, address):
    """What each of them defines is there, not merely a file of its name."""
    page.goto(address)
    plugins = page.evaluate("jQuery.plot.plugins.map(plugin => plugin.name)")
    assert {"time", "selection", "categories", "orderBars", "axisLabels"} <= set(plugins)
    assert page.evaluate("[jQuery.fn.jquery, jQuery.plot.version]") == ["3.3.1", "0.8.3"]
    assert page.evaluate("[typeof jQuery.fn.stupidtable, typeof jQuery.fn.modal, typeof md5]") == ["function"] * 3
    assert page.locator("#nav").evaluate("nav => getComputedStyle(nav).position") == "fixed"  # Bootstrap's style


def test_the_list(page, address):
    """A row for each combination: the table's script is there, too."""
    page.goto(f"{address}#summarylist")
    page.locator("#summarylist-body table tbody tr").first.wait_for()
    assert page.locator("#summarylist-body table tbody tr").count() == len(list(product(*PARAMS)))


def test_what_there_is_no_copy_of_is_told(pages, monkeypatch):
    """A later asv may want other scripts: they stay as they are, and publishing says so."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks.dashboard.offline import localize

    index = pages / "index.html"
    left = '<script src="https://example.org/new-1.0.js" integrity="sha256-x">'
    index.write_text(index.read_text() + left)
    assert localize(pages) == ["https://example.org/new-1.0.js"]
    assert left in index.read_text()
