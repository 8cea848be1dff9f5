"""The pages: all that links lead to is there, what came from outside is text, and what cannot be done is told."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from convsuite.case import Agreement, Pass, Status
from convsuite.cli import main
from convsuite.run import IMPORT
from convsuite_reports.found import linked

CASE = "conv/basic/padding"
HOSTILE = "<script>document.title='taken'</script>"
EVIL = f"conv/{HOSTILE}/\"'><img src=x onerror=alert(1)>"


class _Read(HTMLParser):
    """Links, elements and all text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.handlers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        if tag == "script":
            self.scripts.append(given)
        self.links += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> _Read:
    page = _Read()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture
def database(make, shipped):
    """Two runs with all that a page may have to show."""
    case, bench = shipped(CASE), shipped("conv/bench_smoke/resnet_3x3")
    make.backends |= {"<b>evil</b>": "1"}
    make.check(make.outcome(CASE, "jax"), make.outcome("conv/a/x", "torch"))
    make.bench({"torch": [2e-3, 2.1e-3, 1.9e-3], "jax": [4e-3, 8e-3, 4e-3]}, bench)
    make.check(
        make.wrong(case, "jax", (0, 0, 1, 2)),
        make.outcome(CASE, "torch"),
        make.outcome("conv/a/x", "torch", Status.CRASH, message=f"{HOSTILE} & \x07 died"),
        make.outcome(EVIL, "<b>evil</b>", Status.ERROR, message="ValueError: <h1>no</h1></script><script>alert(2)"),
        make.outcome("conv/a/y", "torch", Status.KNOWN_FAILURE, known="lost (https://example.org/1?a=b&c) <i>x</i>"),
        make.outcome("conv/a/z", "jax", Status.UNSUPPORTED, message=f"no {HOSTILE}"),
        agreements=[
            Agreement(case_id=CASE, operation="conv", pass_=Pass.FORWARD, left="jax", right="torch", identical=False,
                      units=3.5)
        ],
    )  # fmt: skip
    return make


def invoke(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def site(database, tmp_path) -> Path:
    result = invoke("report", "--db", database.path, "-o", tmp_path / "site")
    assert result.exit_code == 0, result.output
    assert result.output == f"open {tmp_path / 'site' / 'index.html'}\n"
    return tmp_path / "site"


def test_every_link_leads_to_a_page_of_the_site_or_upstream(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        for link in read(page).links:
            if link.startswith("https://example.org/") or link in ("#main", "data:,"):
                continue
            assert (page.parent / unquote(link.partition("#")[0])).resolve().is_file(), (page, link)


def test_nothing_is_loaded_from_outside(site):
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""(src|url\(|@import|fetch\()\s*=?\s*["'(]?\s*(https?:)?//""", text), path


@pytest.mark.parametrize("single", [False, True])
def test_what_came_from_outside_is_text(database, tmp_path, single):
    out = tmp_path / ("one.html" if single else "site")
    assert invoke("report", "--db", database.path, "-o", out, *(["--single-file"] if single else [])).exit_code == 0
    pages = [out] if single else list(out.rglob("*.html"))
    for page in map(read, pages):
        assert not {"img", "h1>", "iframe"} & set(page.elements)
        assert page.handlers == []
        ours = [
            s for s in page.scripts if s.get("type") == "application/json" or (s.get("src") or "").endswith("report.js")
        ]
        assert len(page.scripts) - len(ours) == single  # all in one file: the script itself
    whole = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert "<script>document" not in whole
    assert "<b>evil" not in whole
    assert "<h1>no" not in whole
    assert any(HOSTILE in page.text for page in map(read, pages))


def test_the_overview_has_the_verdict_the_findings_and_what_changed(site):
    text = " ".join(read(site / "index.html").text.split())
    assert "3 findings in 6 checks of 5 cases on 3 backends" in text
    assert "3 began to fail" in text  # two that passed before, and one that is new
    assert "cases 0123456789ab" in text


def test_the_page_of_a_finding_has_all_that_is_known(site):
    (path,) = site.glob("findings/conv-basic-padding--jax-*.html")
    text = read(path).text
    for said in (
        "mismatch", "1 of 9 wrong", "Where it is wrong: forward", "[0, 0, 1, 2]", "convsuite check conv/basic/padding",
        "convsuite show conv/basic/padding", "operation: conv", "The case", "input", "Equal letters",
    ):  # fmt: skip
        assert said in text, said
    assert "svg" in read(path).elements


def test_a_case_whose_file_is_not_here_is_told(site):
    (path,) = site.glob("findings/conv-a-x--torch-*.html")
    assert "its case file is not here. The option --cases of `convsuite report` names its files." in read(path).text


def test_a_backend_that_cannot_be_imported_is_a_finding_without_a_case(make, tmp_path):
    make.check(make.outcome(IMPORT, "torch", Status.CRASH, operation=IMPORT, dtype="", message="died"))
    assert invoke("report", "--db", make.path, "-o", tmp_path / "s").exit_code == 0
    (path,) = (tmp_path / "s").glob("findings/*.html")
    text = read(path).text
    assert "convsuite check --backend torch" in text
    assert "convsuite show" not in text
    assert "could not be imported" in text


def test_a_run_of_ones_own_cases_is_drawn_from_them(make, tmp_path):
    folder = tmp_path / "mine cases"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "operation: conv\ncases:\n  - {name: one, input: 5, kernel: 3, source: by hand}\n"
    )
    command = f"convsuite check --cases '{folder}' --threads=2 --json"
    make.check(make.outcome("conv/mine/one", "torch", Status.ERROR, message="no"), command=command)
    assert invoke("report", "--db", make.path, "-o", tmp_path / "s").exit_code == 0
    (path,) = (tmp_path / "s").glob("findings/*.html")
    text = read(path).text
    assert "by hand" in text
    assert f"convsuite check conv/mine/one --backend torch --cases '{folder}' --threads 2" in text


def test_a_run_without_findings(make, tmp_path):
    make.check(make.outcome(CASE, "torch"))
    assert invoke("report", "--db", make.path, "-o", tmp_path / "s").exit_code == 0
    text = read(tmp_path / "s" / "index.html").text
    assert "Nothing found in 1 check of 1 case on 1 backend" in text
    assert "first check in the database" in text
    assert "No run in the database has times" in read(tmp_path / "s" / "performance.html").text


def test_a_stale_known_failure_is_a_finding(make, tmp_path):
    make.check(make.outcome(CASE, "torch"), stale=[f"torch.yaml: 'conv/{HOSTILE}' matches no case"])
    assert invoke("report", "--db", make.path, "-o", tmp_path / "s").exit_code == 0
    for name in ("index", "findings"):
        text = " ".join(read(tmp_path / "s" / f"{name}.html").text.split())
        assert f"torch.yaml: 'conv/{HOSTILE}' matches no case" in text
        assert "Nothing was found" not in text
    assert "1 finding in 1 check" in read(tmp_path / "s" / "index.html").text


def test_an_older_run_can_be_asked_for(database, tmp_path):
    assert invoke("report", "--db", database.path, "--run", 1, "-o", tmp_path / "s").exit_code == 0
    assert "Nothing found in 2 checks" in read(tmp_path / "s" / "index.html").text


def test_a_report_is_written_over_and_old_findings_go(database, tmp_path):
    for run in (3, 1):
        assert invoke("report", "--db", database.path, "--run", run, "-o", tmp_path / "s").exit_code == 0
    assert list((tmp_path / "s" / "findings").iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(database, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    result = invoke("report", "--db", database.path, "-o", tmp_path / "mine")
    assert (result.exit_code, "is not empty, and no report" in result.output) == (2, True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_database_is_not_written_over_by_a_report(database):
    before = database.path.read_bytes()
    result = invoke("report", "--single-file", "--db", database.path, "-o", database.path)
    assert (result.exit_code, "is a database, and left as it is" in result.output) == (2, True)
    assert database.path.read_bytes() == before


@pytest.mark.parametrize("words", [("-o", "file/site"), ("--single-file", "-o", "x" * 300 + ".html")])
def test_a_place_where_nothing_can_be_written_is_told(database, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    result = invoke("report", "--db", database.path, *words)
    assert (result.exit_code, "cannot be written" in result.output) == (2, True), result.output


def test_without_jinja_one_sentence_says_what_to_install(database, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = invoke("report", "--db", database.path, "-o", tmp_path / "s")
    assert result.exit_code == 2
    assert (
        result.output
        == "convsuite: convsuite report needs jinja2, which is not installed: pip install 'convsuite[reports]'\n"
    )
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("run", "said"), [(9, "no check is run '9'; it has outcomes of run 1, 2, 3")])
def test_a_run_that_is_not_there(database, run, said):
    result = invoke("report", "--db", database.path, "--run", run)
    assert (result.exit_code, said in result.output) == (2, True)


def test_a_database_without_a_check(make):
    make.check()
    result = invoke("report", "--db", make.path)
    assert (result.exit_code, "`convsuite check` makes one" in result.output) == (2, True)


def test_only_addresses_become_links():
    text = linked("see https://example.org/a?b=1&c=2). <a href='javascript:x'>no</a> javascript:alert(1)")
    assert text.count("<a ") == 1
    assert 'href="https://example.org/a?b=1&amp;c=2"' in text
    assert "&lt;a href=" in text


def test_performance_marks_what_is_unstable(site):
    text = " ".join(read(site / "performance.html").text.split())
    assert "2 times of bench run 2" in text
    assert "1 of them unstable" in text
    assert "processes differ by 100%" in text
    assert "noisy" in text
