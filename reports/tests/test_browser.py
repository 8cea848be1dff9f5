"""The pages as a reader has them: in a browser without a network, by mouse and by keyboard, and searched for faults."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from convsuite.case import Agreement, Level, Pass, Status, Support
from convsuite.cli import main

AXE = Path(__file__).parent / "axe" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PAGES = ("index", "matrix", "agreement", "findings", "performance", "history")
SIZES = {"phone": (390, 844), "desktop": (1300, 850)}
HOSTILE = "<script>document.title='taken'</script>"


@pytest.fixture
def database(make, shipped):
    """A run with each kind of outcome, and a bench."""
    case = shipped("conv/basic/padding")
    make.check(make.outcome(case.id, "jax"), make.outcome("conv/pads/y", "torch"))
    bench = shipped("conv/bench_smoke/resnet_3x3")
    for version, slower in (("2.12.0", 1), ("2.13.0", 1.5)):
        make.backends = make.backends | {"torch": version}
        medians = {"torch": [slower * s for s in (2e-3, 2.1e-3, 1.9e-3)], "jax": [4e-3, 8e-3, 4e-3]}
        make.bench(medians, bench, {"hot": 1.0, "cold": 1.5})
    make.check(
        make.wrong(case, "jax", (0, 0, 1, 2)),
        make.outcome(case.id, "torch"),
        *(make.outcome(f"conv/many/{i:04}", "torch") for i in range(450)),
        make.outcome("conv/pads/x", "jax", support=Support(Level.COMPOSED, "pad, then convolve")),
        make.outcome("conv/pads/y", "jax", Status.UNSUPPORTED, message="no option reflect"),
        make.outcome("conv/pads/y", "torch", Status.ERROR, message=f"ValueError: {HOSTILE}<h1>"),
        make.outcome(f"max_pool/evil/{HOSTILE}", "torch", Status.CRASH, message="<img src=x onerror=alert(1)>"),
        make.outcome("max_pool/basic/k", "torch", Status.KNOWN_FAILURE, known="lost (https://example.org/1)"),
        make.outcome("max_pool/basic/k", "jax", pass_=Pass.GRAD_INPUT),
        agreements=[
            Agreement(case_id=case.id, operation=op, pass_=Pass.FORWARD, left="jax", right="torch", identical=not units,
                      units=units)
            for op, units in (("conv", 35.0), ("max_pool", 0.0))
        ],
    )  # fmt: skip
    return make


@pytest.fixture(params=["folder", "single file"])
def start(request, database, tmp_path) -> str:
    """Where the report begins: in a folder of pages, or in one file."""
    out = tmp_path / ("site" if request.param == "folder" else "report.html")
    words = ["report", "--db", str(database.path), "-o", str(out)]
    result = CliRunner().invoke(main, words if request.param == "folder" else [*words, "--single-file"])
    assert result.exit_code == 0, result.output
    return Path(result.output.removeprefix("open ").strip()).as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, which takes longer to start than any of these tests; each has pages of its own in it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make dev")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(chromium, start) -> Iterator[Any]:
    """A page without a network; at the end nothing has gone wrong in it."""
    wrong: list[str] = []
    context = chromium.new_context(viewport=dict(zip(("width", "height"), SIZES["desktop"], strict=True)), offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"raised {error}"))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("requestfailed", lambda request: wrong.append(f"did not get {request.url}"))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(f"asked for {r.url}"))
    page.on("dialog", lambda dialog: (wrong.append(f"was asked {dialog.message}"), dialog.dismiss()))
    page.goto(start)
    yield page
    context.close()
    assert wrong == []


def go(page, name: str) -> None:
    """Follow the link in the head, as a reader does."""
    page.locator(f'[data-nav="{name}"]').click()
    page.locator(f'[data-page="{name}"]').wait_for()


def shown(page):
    return page.locator("[data-page]:not([hidden])")


def rows(page) -> list[str]:
    texts = page.locator(".scroll:not([hidden]) > .matrix > tbody > tr:not([hidden]) > th").all_inner_texts()
    return [" ".join(text.split()) for text in texts]


def test_each_page_is_reached_and_has_a_heading(page):
    for name in PAGES:
        go(page, name)
        assert shown(page).locator("h1").count() == 1
        assert page.locator(f'[data-nav="{name}"]').get_attribute("aria-current") == "page"
        assert "taken" not in page.title()


def test_a_finding_is_two_clicks_from_the_overview(page):
    go(page, "matrix")
    go(page, "index")
    shown(page).get_by_role("link", name="conv/basic/padding").click()
    assert shown(page).locator("h1").inner_text() == "conv/basic/padding"
    assert shown(page).locator(".errormap").count() == 1
    assert shown(page).locator(".windows").count() >= 1
    page.go_back()
    go(page, "matrix")
    shown(page).locator("td.wrong a").first.click()
    shown(page).locator(".legend", has_text="mismatch: a wrong answer").wait_for()
    assert shown(page).locator("select[name=mark]").input_value() == "MEXTF"  # those that failed, and no others
    letters = shown(page).locator(".cases tbody td[class^=m-]")
    assert letters.count() >= 1
    assert {letters.nth(i).inner_text() for i in range(letters.count())} <= set("MEXTF")
    shown(page).locator(".cases .m-M a, .cases .m-E a, .cases .m-X a").first.click()
    assert shown(page).get_by_text("See for yourself").first.is_visible()


def test_the_matrix_is_filtered_and_the_address_keeps_it(page):
    go(page, "matrix")
    everything = rows(page)
    assert len(everything) == 5
    page.get_by_label("Find").first.fill("pad")
    assert rows(page) == ["conv pads"]
    page.get_by_label("Find").first.fill("")
    shown(page).locator("select[name=op]").select_option("max_pool")
    assert rows(page) == ["max_pool basic", "max_pool evil"]
    shown(page).locator("select[name=state]").select_option("known")
    assert rows(page) == ["max_pool basic"]
    page.reload()
    page.locator('[data-page="matrix"]').wait_for()
    assert rows(page) == ["max_pool basic"]
    page.get_by_role("button", name="Reset").first.click()
    page.wait_for_function("!location.hash.includes('op=')")
    assert rows(page) == everything
    shown(page).locator("select[name=by]").select_option("pass")
    assert "max_pool grad_input" in rows(page)


def test_nothing_left_is_said(page):
    go(page, "matrix")
    page.get_by_label("Find").first.fill("no such feature")
    assert rows(page) == []
    assert shown(page).get_by_text("Nothing fits the filter.").is_visible()


def test_the_matrix_is_sorted_by_what_a_backend_does(page):
    go(page, "matrix")
    by_name = rows(page)
    assert by_name == sorted(by_name)
    header = shown(page).locator(".matrix:visible thead th")
    header.filter(has_text="torch").get_by_role("button").click()
    assert rows(page)[:3] == ["conv pads", "max_pool evil", "max_pool basic"]  # wrong, wrong, known to fail
    assert header.filter(has_text="torch").get_attribute("aria-sort") == "ascending"
    header.filter(has_text="torch").get_by_role("button").click()
    assert rows(page)[-3:] == ["max_pool basic", "max_pool evil", "conv pads"]
    page.reload()
    page.locator('[data-page="matrix"]').wait_for()
    assert rows(page)[-3:] == ["max_pool basic", "max_pool evil", "conv pads"]


def test_a_backend_can_be_left_out(page):
    go(page, "matrix")
    shown(page).get_by_text("Backends", exact=True).first.click()
    shown(page).get_by_role("checkbox", name="jax").uncheck()
    heads = shown(page).locator(".matrix:visible thead th:not([hidden])").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["operation,", "torch"]


def test_a_cell_tells_its_reason_to_pointer_and_keyboard(page):
    go(page, "matrix")
    cell = shown(page).locator("tr", has_text="pads").locator(".matrix td a, td a").first
    cell.hover()
    assert "no option reflect" in page.locator("#tip").inner_text()
    page.mouse.move(0, 0)
    assert not page.locator("#tip").is_visible()
    cell.focus()
    told = page.locator("#tip").inner_text()
    assert told.startswith("conv pads, jax: partly, 1 of 2 right")
    assert "pad, then convolve" in told
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_by_keyboard_alone_from_the_overview_to_a_finding(page):
    def press_until(selector: str, key: str = "Tab", most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press(key)
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{key} never reached {selector}")

    press_until('[data-nav="matrix"]')
    page.keyboard.press("Enter")
    page.locator('[data-page="matrix"]').wait_for()
    press_until(".matrix tbody a")
    press_until("td.wrong a", "ArrowRight", 3)
    page.keyboard.press("Enter")
    shown(page).locator(".cases td").first.wait_for()
    press_until(".cases td a")
    page.keyboard.press("Enter")
    shown(page).locator("h1", has_text="conv/basic/padding").wait_for()  # in one file the page turns a moment later


def become(elements, count: int) -> None:
    """Wait until there are so many: in one file a page turns a moment after the click."""
    api = pytest.importorskip("playwright.sync_api")
    api.expect(elements).to_have_count(count)


def test_a_long_list_grows_as_it_is_asked_for_and_is_filtered_whole(page):
    go(page, "matrix")
    shown(page).get_by_role("link", name="conv many", exact=True).click()
    cases = shown(page).locator(".cases tbody tr")
    become(cases, 200)
    shown(page).get_by_role("button", name="Show 200 more of 250").click()
    become(cases, 400)
    page.get_by_role("searchbox", name="Find").locator("visible=true").fill("0449")
    become(cases, 1)
    shown(page).locator("select[name=mark]").select_option("U")
    become(cases, 0)


def test_pairs_are_summed_again_for_one_operation(page):
    go(page, "agreement")
    cell = shown(page).locator('td[data-l="jax"][data-r="torch"]')
    assert cell.inner_text().split() == ["35", "50.0", "%"]
    shown(page).locator("select[name=op]").select_option("max_pool")
    assert cell.inner_text().split() == ["=", "100", "%"]
    assert cell.get_attribute("class") == "h-same"
    shown(page).locator("select[name=op]").select_option("")
    assert cell.inner_text().split() == ["35", "50.0", "%"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page, scheme):
    page.emulate_media(color_scheme=scheme)
    links = ["index", *PAGES[1:]]
    found = []
    for name in links:
        go(page, name)
        found += faults(page, name)
    go(page, "index")
    shown(page).get_by_role("link", name="conv/basic/padding").click()
    found += faults(page, "finding")
    go(page, "matrix")
    shown(page).get_by_role("link", name="conv pads", exact=True).click()
    found += faults(page, "cases")
    assert found == []


def faults(page, name: str) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    # without `preload` it does not ask for the style sheet itself, which a page from the file system may not
    result = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{name}: {fault['id']}: {node['target']}: {node['failureSummary']}"
        for fault in result["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


@pytest.mark.parametrize("size", SIZES)
def test_no_page_is_wider_than_the_screen(page, size):
    """What is wide scrolls within its own frame."""
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    for name in PAGES:
        go(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_on_a_phone_what_is_new_is_seen_and_names_stay(page):
    page.set_viewport_size({"width": 390, "height": 844})
    go(page, "history")
    frame = shown(page).locator(".newest .scroll").first
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth && e.scrollLeft + e.clientWidth > e.scrollWidth - 2")
    go(page, "performance")
    table = shown(page).locator(".scroll", has=page.locator("table.calls")).first
    name = table.get_by_role("rowheader", name="torch", exact=True)
    before = name.bounding_box()["x"]
    table.evaluate("e => { e.scrollLeft = 200; }")
    assert table.evaluate("e => e.scrollLeft") > 0
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_trends_and_calls_are_told_without_being_seen(page):
    go(page, "history")
    told = [i.get_attribute("aria-label") for i in shown(page).get_by_role("img").all()]
    assert any(t.startswith("torch: run 1") and "2 found" in t for t in told)
    assert sum("lower is" in t for t in told) == 3
    versions = shown(page).locator(".newest path.version title").all_text_contents()
    assert {"torch 2.12.0", "torch 2.13.0"} <= set(versions)
    go(page, "performance")
    table = shown(page).locator("table.calls").first
    assert table.get_by_role("img", name="torch: hot 3.00 ms, cold 4.50 ms, first call 150 ms").count() == 1
    assert table.locator("path.call-hot.faint title").all_text_contents() == ["hot: 4.00 ms, unstable"]


def test_in_print_the_filters_are_gone_and_the_matrix_is_there(page):
    go(page, "matrix")
    page.emulate_media(media="print")
    assert not page.locator(".filters:visible").count()
    assert page.locator(".matrix:visible").count() == 1


def test_in_print_all_is_open_and_closed_again_afterwards(page):
    go(page, "history")
    closed = shown(page).locator("details:not([open])")
    many = closed.count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (many > 0, closed.count()) == (True, 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed.count() == many


def test_hostile_names_are_shown_as_they_are(page):
    go(page, "findings")
    assert HOSTILE in shown(page).inner_text()
    assert re.fullmatch(r"Findings .*", page.title())
