"""The command line, as a user meets it: in a process of its own, by its output and its exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from convsuite import casefile, checking
from convsuite.case import LEVELS
from convsuite.cli import main

CASES = """
operation: conv
defaults: {input: [6, 5], kernel: [3, 2], channels: {in: 2, out: 3}}
cases:
  - {name: plain}
  - {name: strided, stride: 2, passes: [forward, grad_input, grad_weight]}
  - {name: large, padding: 2, level: full}
"""

WRONG = """
import os
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        print("{}")
        os.write(1, b"noise")
        y = super().conv(case, x, weight, bias)
        if case.stride == (2, 2):
            raise ValueError("bad [red]colour[/] \\x1b[31m \\x00 ]]> \\ufffe 大\\nsecond line")
        return y
"""

NARROW = """
from convsuite.case import Numerics

class Planted(NumpyIm2col):
    def numerics(self, case, pass_):
        return Numerics(accumulator="float32", intermediate="bfloat16", intermediate_roundings=3, note="each tap")
"""

RIGHT = "from convsuite_backends.numpy_im2col import NumpyIm2col as Planted\n"

Plant = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "some.yaml").write_text(CASES)
    return tmp_path / "own"


def convsuite(
    *words: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as `convsuite` does, and return what it said."""
    command = [sys.executable, "-m", "convsuite.cli", *map(str, words)]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must end with exit code 2, nothing on standard output and one short message."""
    done = convsuite(*words, cwd=cwd)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def strict(line: str) -> Any:
    def no(token: str) -> None:
        raise AssertionError(f"{token} is no JSON: {line}")

    return json.loads(line, parse_constant=no)


class TestCheck:
    def test_nothing_found(self, cases: Path, tmp_path: Path) -> None:
        done = convsuite("check", "--cases", cases, "-b", "numpy_im2col", "-b", "naive", "--db", tmp_path / "r.db")
        assert done.returncode == 0, done
        assert "8 checks of 2 cases: nothing found, 8 passed" in done.stdout
        assert re.search(r"conv +naive +4 +·", done.stdout)
        assert re.search(r"naive +100% =", done.stdout)
        assert "\x1b" not in done.stdout
        assert (tmp_path / "r.db").exists()

    def test_findings_are_named_and_their_rerun_line_finds_them_again(
        self, cases: Path, tmp_path: Path, planted: Plant
    ) -> None:
        planted({"wrong": WRONG, "right": RIGHT})
        done = convsuite("check", "--cases", cases, "-b", "wrong", "-b", "right", "--timeout", "30", cwd=tmp_path)
        assert done.returncode == 1, done
        assert f"error conv/some/strided [forward] on wrong ({cases}/some.yaml:6)" in done.stdout
        assert r"ValueError: bad [red]colour[/] \x1b[31m \x00 ]]>" in done.stdout
        (line,) = re.findall(r"rerun: (.*?)   look: (.*)", done.stdout)
        for said, code in zip(line, (1, 0), strict=True):
            words = shlex.split(said)
            assert words[0] == "convsuite"
            again = convsuite(*words[1:], cwd=tmp_path)
            assert again.returncode == code, again
            assert "conv/some/strided" in again.stdout
        assert "--timeout 30" in line[0]

    def test_json_is_strict_and_alone_on_standard_output(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        """The backend prints, and refuses; a case's `right` twin answers infinities."""
        planted({"wrong": WRONG, "infinite": RIGHT.replace("as Planted", "") + INFINITE})
        done = convsuite("check", "--cases", cases, "-b", "wrong", "-b", "infinite", "--json", cwd=tmp_path)
        assert done.returncode == 1, done
        *outcomes, last = [strict(line) for line in done.stdout.splitlines()]
        assert {(o["backend"], o["case_id"], o["pass"], o["status"]) for o in outcomes} == {
            ("wrong", "conv/some/plain", "forward", "passed"),
            ("wrong", "conv/some/strided", "forward", "error"),
            *(("wrong", "conv/some/strided", p, "passed") for p in ("grad_input", "grad_weight")),
            ("infinite", "conv/some/plain", "forward", "mismatch"),
            ("infinite", "conv/some/strided", "forward", "mismatch"),
            *(("infinite", "conv/some/strided", p, "passed") for p in ("grad_input", "grad_weight")),
        }
        assert last["summary"] == {
            "run": 1, "state": "finished", "cases": 2, "counts": {"passed": 5, "error": 1, "mismatch": 2},
            "backends": {"infinite": f"numpy {np.__version__}", "wrong": f"numpy {np.__version__}"},
            "findings": 3, "stale": [],
        }  # fmt: skip
        assert "rerun: convsuite check conv/some/strided" in done.stderr

    def test_junit(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        planted({"wrong": WRONG.replace("case.stride == (2, 2)", "True")})
        (tmp_path / "list.yaml").write_text(KNOWN)
        done = convsuite(
            "check", "--cases", cases, "-b", "wrong", "-b", "numpy_im2col", "--junit", tmp_path / "j.xml",
            "--known-failures", tmp_path / "list.yaml", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 1, done
        (suite,) = ET.parse(tmp_path / "j.xml").getroot()
        tests = list(suite)
        failed = {(t.get("classname"), t.get("name")): t[0] for t in tests if t[0].tag == "failure"}
        skipped = [test for test in tests if test[0].tag == "skipped"]
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("9", "2", "1")
        assert (len(tests), len(failed), len(skipped)) == (9, 2, 1)
        message = failed["conv.wrong", "conv/some/strided[forward]"].get("message")
        assert message is not None
        said, _, place = message.rpartition(" (planted_wrong")
        assert said == "ValueError: bad [red]colour[/] �[31m � ]]> � 大\nsecond line"
        assert re.fullmatch(r".*\.py:\d+, in conv\)", place)
        (stale,) = (test for test in tests if test.get("classname") == "known_failures")
        assert "'conv/some/gone' matches no case" in (stale.get("name") or "")
        assert skipped[0].get("name") == "conv/some/plain[forward]"
        assert skipped[0][0].get("message") == "raises where it should answer (not reported)"

    def test_the_arithmetic_it_was_judged_by_is_in_every_record(
        self, cases: Path, tmp_path: Path, planted: Plant
    ) -> None:
        planted({"narrow": RIGHT.replace("as Planted", "") + NARROW})
        words = ("--cases", cases, "-b", "narrow", "--db", tmp_path / "r.db", "--junit", tmp_path / "j.xml")
        done = convsuite("check", "conv/some/plain", "--json", *words)
        assert json.loads(done.stdout.splitlines()[0])["numerics"] == {
            "accumulator": "float32", "intermediate": "bfloat16", "intermediate_roundings": 3, "tf32": False,
            "fast": None, "note": "each tap",
        }  # fmt: skip
        (test,) = ET.parse(tmp_path / "j.xml").iter("testcase")
        told = {p.get("name"): p.get("value") for p in test.iter("property")}
        assert (told["accumulator"], told["intermediate"], told["intermediate_roundings"]) == (
            "float32",
            "bfloat16",
            "3",
        )
        assert (told["tf32"], told["numerics_note"]) == ("0", "each tap")
        with sqlite3.connect(tmp_path / "r.db") as store:
            assert store.execute("SELECT intermediate, numerics_note FROM outcome").fetchall() == [
                ("bfloat16", "each tap")
            ]

    def test_junit_gives_the_time_of_a_case_once(self, cases: Path, tmp_path: Path) -> None:
        words = ("-b", "naive", "-b", "numpy_im2col", "--db", tmp_path / "r.db", "--junit", tmp_path / "j.xml")
        convsuite("check", "conv/some/strided", "--cases", cases, *words)
        with sqlite3.connect(tmp_path / "r.db") as store:
            spent = dict(store.execute("SELECT backend, max(seconds) FROM outcome GROUP BY backend"))
        for backend, seconds in spent.items():
            tests = ET.parse(tmp_path / "j.xml").iter("testcase")
            times = [float(t.get("time") or "nan") for t in tests if t.get("classname") == f"conv.{backend}"]
            assert len(times) == 3
            assert sum(times) == pytest.approx(seconds, abs=3e-6)  # each is written to a microsecond

    def test_what_is_fixed_and_what_is_stale_are_findings(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        planted({"wrong": RIGHT})
        (tmp_path / "list.yaml").write_text(KNOWN)
        done = convsuite(
            "check", "--cases", cases, "-b", "wrong", "--known-failures", "list.yaml", cwd=tmp_path
        )  # fmt: skip
        assert done.returncode == 1, done
        assert "fixed_upstream conv/some/plain [forward] on wrong" in done.stdout
        assert "stale known failure: list.yaml: 'conv/some/gone' matches no case" in done.stdout
        (rerun,) = re.findall(r"rerun: convsuite (.*?)   look:", done.stdout)
        again = convsuite(*shlex.split(rerun), cwd=tmp_path)
        assert "fixed_upstream conv/some/plain [forward] on wrong" in again.stdout

    def test_a_list_is_asked_for_stale_entries_only_with_its_whole_suite(self, cases: Path, tmp_path: Path) -> None:
        (cases / "more.yaml").write_text(CASES.replace("large", "gone"))
        (cases / "known_failures").mkdir()
        listed = KNOWN.replace("wrong", "naive").replace("some/plain", "more/never").replace("some/gone", "more/gone")
        (cases / "known_failures" / "naive.yaml").write_text(listed)
        usual = ("check", "-b", "numpy_im2col", "--db", tmp_path / "r.db")
        part = convsuite(*usual, "--cases", "own/some.yaml", cwd=tmp_path)
        assert (part.returncode, "stale known failure" in part.stdout) == (0, False), part
        whole = convsuite(*usual, "--cases", "own", cwd=tmp_path)
        assert (whole.returncode, whole.stdout.count("stale known failure")) == (1, 1), whole
        assert "naive.yaml: 'conv/more/never' matches no case" in whole.stdout

    def test_a_named_list_is_asked_of_what_it_was_named_with(self, cases: Path, tmp_path: Path) -> None:
        (tmp_path / "list.yaml").write_text(KNOWN.replace("wrong", "naive"))
        words = ("--cases", "own/some.yaml", "--known-failures", "list.yaml")
        done = convsuite("check", "-b", "numpy_im2col", *words, cwd=tmp_path)
        assert (done.returncode, "'conv/some/gone' matches no case" in done.stdout) == (1, True), done

    def test_a_list_about_a_backend_that_does_not_run_is_no_finding(
        self, cases: Path, tmp_path: Path, planted: Plant
    ) -> None:
        planted({"other": RIGHT})
        (cases / "known_failures").mkdir()
        (cases / "known_failures" / "other.yaml").write_text(KNOWN.replace("wrong", "other").replace("gone", "strided"))
        done = convsuite("check", "--cases", cases, "-b", "numpy_im2col", cwd=tmp_path)
        assert (done.returncode, "nothing found" in done.stdout) == (0, True), done

    def test_a_reader_that_is_gone_ends_it_quietly(self, cases: Path, tmp_path: Path) -> None:
        for extra in ("", "--json"):
            words = [sys.executable, "-m", "convsuite.cli", "check", "--cases", str(cases), "-b", "numpy_im2col"]
            pipe = f"{shlex.join(words)} --db r.db {extra} | true; exit ${{PIPESTATUS[0]}}"
            done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, cwd=tmp_path, timeout=120)
            assert (done.returncode, "Traceback" in done.stderr) == (141, False), done
        with closing(sqlite3.connect(tmp_path / "r.db")) as db:
            assert "running" not in {state for (state,) in db.execute("SELECT state FROM run")}

    def test_known_failures_are_told_with_reason_and_link(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        planted({"wrong": WRONG.replace("case.stride == (2, 2)", "True")})
        (tmp_path / "list.yaml").write_text(KNOWN.replace("gone", "plain"))
        done = convsuite("check", "--cases", cases, "-b", "wrong", "--known-failures", "list.yaml", cwd=tmp_path)
        assert "wrong: 1 × raises where it should answer (not reported)" in done.stdout, done

    def test_reasons_for_unsupported_are_told_when_asked(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        planted({"none": "from convsuite import Backend\nclass Planted(Backend): pass\n"})
        usual = ("check", "--cases", cases, "-b", "none")
        assert "none: 4 × has no conv" in convsuite(*usual, "-v", cwd=tmp_path).stdout
        assert "has no conv" not in convsuite(*usual, cwd=tmp_path).stdout

    def test_levels_and_a_whole_id_at_any_level(self, cases: Path, tmp_path: Path) -> None:
        usual = ("check", "--cases", cases, "-b", "numpy_im2col", "--db", tmp_path / "r.db")
        assert "1 check of 1 case:" in convsuite(*usual, "conv/some/large").stdout
        assert "try --level full" in refused(*usual, "conv/some/lar*")
        assert "5 checks of 3 cases" in convsuite(*usual, "--level", "full").stdout

    def test_a_terminal_that_knows_only_ascii(self, cases: Path, tmp_path: Path) -> None:
        usual = ("check", "--cases", cases, "-b", "numpy_im2col", "--db", tmp_path / "r.db")
        done = convsuite(*usual, environment={"PYTHONIOENCODING": "ascii"})
        assert done.returncode == 0, done
        assert "nothing found" in done.stdout

    def test_broken_plugins_stop_nobody_else(self, cases: Path, tmp_path: Path, planted: Plant) -> None:
        folder = planted({"nomodule": "", "noclass": "Other = 1", "nobackend": "class Planted: pass", "fine": RIGHT})
        (module,) = folder.glob("*nomodule*.py")
        module.unlink()
        names = ("nomodule", "noclass", "nobackend", "fine")
        options = [word for name in names for word in ("-b", name)]
        done = convsuite("check", "--cases", cases, *options, cwd=tmp_path)
        assert done.returncode == 1, done
        for name, why in zip(names, ("ModuleNotFoundError", "AttributeError", "not a subclass of"), strict=False):
            assert re.search(
                rf"error \(import\) on {name}\n  installed, but it cannot be imported: .*{why}", done.stdout
            )
        assert re.search(r"conv +fine +4", done.stdout)

        listed = convsuite("list", "backends")
        assert listed.returncode == 0
        assert re.search(rf"nomodule +broken: there is no module {module.stem}", listed.stdout)
        assert re.search(r"^fine +installed", listed.stdout, re.MULTILINE)

    def test_declarations_that_make_no_sense_stop_nobody_else(
        self, cases: Path, tmp_path: Path, planted: Plant
    ) -> None:
        sources = {
            name: f"{RIGHT.replace(' as Planted', '')}import convsuite\n{code}" for name, (code, _) in NONSENSE.items()
        }
        planted(sources)
        options = [word for name in (*NONSENSE, "numpy_im2col") for word in ("-b", name)]
        done = convsuite("check", "--cases", cases, "conv/some/plain", *options, "--json", cwd=tmp_path)
        outcomes = [strict(line) for line in done.stdout.splitlines()[:-1]]
        said = {o["backend"]: f"{o['status']}: {o['message']}" for o in outcomes}
        for name, (_, due) in NONSENSE.items():
            assert said[name].startswith(due), said[name]
        assert said["numpy_im2col"] == "passed: "


def nonsense(method: str, said: str) -> str:
    return f"class Planted(NumpyIm2col):\n    def {method}:\n        return {said}\n"


# name → (the class, what becomes of its case)
NONSENSE = {
    "support_none": (
        nonsense("support(self, case)", "None"), "error: before the call: TypeError: support must return a Support",
    ),
    "reason_none": (nonsense("support(self, case)", "convsuite.Support.composed(None)"), "passed: "),
    "reason_odd": (
        nonsense("support(self, case)", "convsuite.Support.unsupported('\\ud800')"), "unsupported: \\ud800",
    ),
    "numerics_none": (nonsense("numerics(self, case, pass_)", "None"), "error: TypeError: numerics must return"),
    "numerics_odd": (
        nonsense("numerics(self, case, pass_)", "convsuite.Numerics(accumulator='float8')"),
        "error: ValueError: numerics names the dtype 'float8'",
    ),
    "version_odd": (nonsense("versions(self)", "{'x': '\\ud800'}"), "passed: "),
    "no_version": (nonsense("versions(self)", "{}"), "passed: "),
    "dtype_odd": (nonsense("dtype_name(self, result, case)", "'\\ud800'"), "mismatch: dtype \\ud800, float32 was due"),
}  # fmt: skip


INFINITE = """
import numpy as np
class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        return super().conv(case, x, weight, bias) * np.float32(np.inf)
"""

KNOWN = """
backend: wrong
failures:
  - cases: [conv/some/plain]
    passes: [forward]
    status: error
    reason: raises where it should answer
    link: not reported
  - cases: [conv/some/gone]
    status: crash
    reason: reads what it did not write
    link: not reported
"""


class TestUsage:
    def test_an_unknown_backend(self, cases: Path) -> None:
        assert "no backend 'numpy_im2cil': did you mean numpy_im2col" in refused("check", "-b", "numpy_im2cil")

    def test_a_backend_that_is_not_installed(self, tmp_path: Path, cases: Path, planted: Plant) -> None:
        source = "from convsuite import Backend\nclass Planted(Backend):\n    requires = ('no_such',)\n"
        planted({"absent": source + "    def __init__(self, device):\n        import no_such.part\n"})
        done = convsuite("check", "--cases", cases, "-b", "absent", "-b", "numpy_im2col", cwd=tmp_path)
        assert done.returncode == 2, done
        assert re.fullmatch(r"convsuite: absent: .*(not installed|No module).*list backends.*\n", done.stderr)

    def test_an_unknown_key(self, cases: Path) -> None:
        assert "strid is no key to select by; did you mean stride?" in refused("check", "--cases", cases, "strid=2")

    def test_a_selector_that_matches_nothing(self, cases: Path) -> None:
        assert "conv/none/* matches none of 3 cases" in refused("check", "--cases", cases, "conv/none/*")

    def test_cases_that_are_not_there(self, tmp_path: Path) -> None:
        assert "no such file or folder" in refused("check", "--cases", tmp_path / "nowhere")

    def test_a_bad_case_file_is_told_with_its_place(self, cases: Path) -> None:
        (cases / "bad.yaml").write_text("operation: conv\ncases:\n  - {name: a, input: 5, kernl: 3}\n")
        assert f"{cases}/bad.yaml:3:" in refused("check", "--cases", cases)

    def test_a_bad_list_of_known_failures(self, cases: Path, tmp_path: Path) -> None:
        (tmp_path / "list.yaml").write_text("backend: 3")
        said = refused("check", "--cases", cases, "--known-failures", tmp_path / "list.yaml", cwd=tmp_path)
        assert said == f"convsuite: {tmp_path}/list.yaml: Expected `str`, got `int` - at `$.backend`\n"
        assert not (tmp_path / "convsuite.db").exists()

    def test_a_database_that_is_none(self, cases: Path, tmp_path: Path) -> None:
        (tmp_path / "r.db").write_text("my notes, which nobody may overwrite")
        said = refused("check", "--cases", cases, "--db", tmp_path / "r.db")
        assert (
            said == f"convsuite: {tmp_path}/r.db: is not a database, and left as it is; name another file with --db\n"
        )
        assert (tmp_path / "r.db").read_text() == "my notes, which nobody may overwrite"

    def test_no_place_for_the_junit_file_is_told_before_the_run(self, cases: Path, tmp_path: Path) -> None:
        said = refused("check", "--cases", cases, "--junit", tmp_path / "no" / "j.xml", cwd=tmp_path)
        assert "the JUnit file cannot be written: there is no folder" in said
        assert not (tmp_path / "convsuite.db").exists()

    def test_a_junit_file_is_never_the_database(self, cases: Path, tmp_path: Path) -> None:
        said = refused("check", "--cases", cases, "--db", tmp_path / "r.db", "--junit", tmp_path / "r.db")
        assert "r.db: is a database, and left as it is; name another file with --junit" in said

    def test_ctrl_c_before_anything_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(casefile, "builtin", stopped)
        result = CliRunner().invoke(main, ["list", "cases"])
        assert (result.exit_code, result.stderr) == (130, "convsuite: interrupted\n")

    @pytest.mark.parametrize("timeout", ["nan", "inf"])
    def test_a_timeout_that_is_no_number_of_seconds(self, cases: Path, tmp_path: Path, timeout: str) -> None:
        said = refused("check", "--cases", cases, "--timeout", timeout, cwd=tmp_path)
        assert said == f"convsuite: --timeout {timeout}: give a number of seconds above 0\n"

    def test_ctrl_c_while_the_lanes_are_made_is_an_interrupted_run(
        self, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(checking, "Lane", stopped)
        words = ["check", "--cases", str(cases), "-b", "naive", "--db", str(tmp_path / "r.db")]
        assert CliRunner().invoke(main, words).exit_code == 130
        with sqlite3.connect(tmp_path / "r.db") as store:
            assert store.execute("SELECT state FROM run").fetchall() == [("interrupted",)]

    @pytest.mark.parametrize("name", ["check", "coverage", "list cases"])
    def test_every_level_can_be_asked_for(self, name: str) -> None:
        command: Any = main
        for word in name.split():
            command = command.commands[word]
        (level,) = (p for p in command.params if p.name == "level")
        assert tuple(level.type.choices) == LEVELS

    @pytest.mark.parametrize("words", [["check", "--level", "ful"], ["check", "--timeout", "0"], ["chek"], ["list"]])
    def test_words_that_are_no_command(self, words: list[str]) -> None:
        done = convsuite(*words)
        assert done.returncode == 2
        assert "Usage: " in done.stdout + done.stderr


class TestLooking:
    def test_list_cases(self, cases: Path) -> None:
        done = convsuite("list", "cases", "--cases", cases)
        assert done.stdout == "conv/some/plain\nconv/some/strided\n"
        assert "2 cases" in done.stderr
        assert convsuite("list", "cases", "--cases", cases, "stride=2").stdout == "conv/some/strided\n"

    def test_list_backends(self) -> None:
        lines = convsuite("list", "backends").stdout.splitlines()
        assert any(re.fullmatch(r"numpy_im2col +installed +from convsuite [\d.]+", line) for line in lines)

    def test_list_operations(self) -> None:
        said = convsuite("list", "operations").stdout
        assert "conv: forward, grad_input, grad_weight, grad_bias\n" in said

    def test_show(self, cases: Path) -> None:
        assert "conv/some/strided" in convsuite("show", "conv/some/strided", "--cases", cases).stdout
        assert "no case 'conv/some/stride' among 3: did you mean" in refused(
            "show", "conv/some/stride", "--cases", cases
        )

    def test_schema(self) -> None:
        assert strict(convsuite("schema").stdout)["$schema"].startswith("https://json-schema.org/")

    @pytest.mark.parametrize(
        "words", ["", "check", "list", "list cases", "list backends", "list operations", "show", "coverage", "schema"]
    )
    def test_help(self, words: str) -> None:
        done = convsuite(*words.split(), "--help")
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: ")
        assert max(map(len, done.stdout.splitlines())) <= 100

    def test_only_a_command_that_takes_ids_speaks_of_them(self) -> None:
        said = {name: " ".join(convsuite(*name.split(), "--help").stdout.split()) for name in ("check", "coverage")}
        assert [name for name, text in said.items() if "named by its whole id" in text] == ["check"]

    @pytest.mark.parametrize(
        "words", ["list cases", "list backends", "list operations", "show conv/some/plain", "coverage", "schema"]
    )
    def test_a_reader_that_is_gone_ends_it_quietly(self, cases: Path, words: str) -> None:
        own = words.split()[-1] in ("cases", "conv/some/plain", "coverage")
        of = f" --cases {shlex.quote(str(cases))}" if own else ""
        pipe = f"{sys.executable} -m convsuite.cli {words}{of} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (141, ""), done

    def test_a_level_above_the_one_that_is_listed(self, cases: Path) -> None:
        said = "convsuite: 1 case matches, none at level default; try --level full\n"
        assert refused("list", "cases", "--cases", cases, "level=full") == said
        assert refused("check", "--cases", cases, "level=full") == said

    def test_version(self) -> None:
        assert re.search(r"version \d+\.\d+", convsuite("--version").stdout)


FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "keras")

BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FRAMEWORKS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def command(*words: str) -> str:
    """Return code that runs the command in its own process and goes on after it."""
    return f"from convsuite.cli import main\nmain({list(words)!r}, standalone_mode=False)"


class TestImports:
    @pytest.mark.parametrize(
        ("code", "never"),
        [
            ("import convsuite", (*FRAMEWORKS, "numpy", "pandas", "scipy", "rich", "pebble", "yaml")),
            ("from convsuite import *", (*FRAMEWORKS, "numpy", "pandas", "scipy", "rich", "pebble", "yaml")),
            (command("--help"), (*FRAMEWORKS, "numpy", "pandas", "scipy", "rich", "pebble", "yaml")),
            (command("check", "--help"), (*FRAMEWORKS, "numpy", "pandas", "scipy", "rich", "pebble", "yaml")),
            (command("list", "cases"), (*FRAMEWORKS, "numpy", "pandas", "scipy", "rich", "pebble")),
            (command("list", "backends"), (*FRAMEWORKS, "pandas", "scipy", "rich", "pebble")),
            (command("show", "conv/basic/cross_correlation"), (*FRAMEWORKS, "pandas", "scipy", "pebble")),
        ],
    )
    def test_only_what_is_needed_is_imported(self, code: str, never: tuple[str, ...]) -> None:
        told = f"import sys\n{code}\nprint('\\n', [name for name in {never!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1].strip() == "[]", done

    def test_without_any_framework_numpy_still_works(self, cases: Path, tmp_path: Path) -> None:
        (tmp_path / "blocked").mkdir()
        (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKER)
        path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
        done = convsuite("check", "--cases", cases, cwd=tmp_path, environment={"PYTHONPATH": path})
        assert (done.returncode, "nothing found" in done.stdout) == (0, True), done
        assert re.search(r"conv +numpy_im2col +4", done.stdout)
        assert not re.search(r"torch|jax|keras|tensorflow", done.stdout)
        listed = convsuite("list", "backends", environment={"PYTHONPATH": path}).stdout
        for name in ("torch", "torch:compile", "jax", "tensorflow", "keras"):
            assert re.search(rf"^{name} +not installed: pip install 'convsuite\[", listed, re.MULTILINE), listed
        asked = convsuite("check", "--cases", cases, "-b", "torch", environment={"PYTHONPATH": path})
        assert (asked.returncode, asked.stderr) == (
            2, "convsuite: torch is not installed: pip install 'convsuite[torch]'\n",
        )  # fmt: skip
