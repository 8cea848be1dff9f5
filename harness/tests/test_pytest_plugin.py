"""The pytest plugin, as a stranger's repository sees it: every run is a pytest of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convsuite import run
from convsuite.case import LEVELS
from convsuite.casefile import load
from convsuite.known import KnownFailures
from convsuite.lane import Lane, Settings

pytest_plugins = ("pytester",)

CORR2D = """
operation: conv
defaults: {dtype: float32, fill: integers}
cases:
  - name: corr2d
    input: {values: [[0, 1, 2], [3, 4, 5], [6, 7, 8]]}
    kernel: {values: [[0, 1], [2, 3]]}
    expect: {values: [[19, 25], [37, 43]]}
    source: hand-computed
    level: smoke
    tags: [book]
  - name: strided
    channels: {in: 2, out: 3}
    input: {size: [7, 6]}
    kernel: {size: [3, 2]}
    sweep: {stride: [1, 2], dtype: [float32, float64]}
    passes: [forward, grad_input]
"""
SINGLE = """
operation: conv
cases:
  - {name: single, input: {size: [6, 5]}, kernel: {size: [3, 2]}, passes: [forward, grad_input]}
"""
TWO = """
operation: conv
cases:
  - {name: first, input: {size: [6, 5]}, kernel: {size: [3, 2]}}
  - {name: second, input: {size: [6, 5]}, kernel: {size: [2, 2]}}
"""
PLANTED = "import os, signal, time\nfrom convsuite_backends.naive import Naive\nclass Planted(Naive):\n"
LIAR = PLANTED + "    def conv(self, *args): return super().conv(*args) + 1\n"
CRASHES = (
    PLANTED
    + """
    def conv(self, case, *args):
        if "first" in case.id or "corr2d" in case.id:
            os.abort()
        return super().conv(case, *args)
"""
)
OWN = ("--convsuite-backend", "naive", "--convsuite-backend", "numpy_im2col")


@pytest.fixture
def repo(pytester: pytest.Pytester) -> pytest.Pytester:
    """A repository with one test of its own and two files of YAML that are none of ours."""
    pytester.makepyfile(test_own="def test_own(): pass")
    pytester.makefile(".yaml", workflow="on: push\njobs: {}\n", half="operation: copy\nsteps: [a]\n")
    return pytester


def write(repo: pytest.Pytester, name: str, text: str) -> Path:
    path = repo.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pytest_run(repo: pytest.Pytester, *args: object) -> pytest.RunResult:
    return repo.runpytest_subprocess("-p", "no:cacheprovider", "-ra", *map(str, args))


def verdicts(repo: pytest.Pytester, *args: object) -> dict[tuple[str, str, str], str]:
    """(case, backend, pass) → status, from the JUnit file of a run."""
    pytest_run(repo, "--junitxml=junit.xml", *args)
    found = {}
    for testcase in ElementTree.parse(repo.path / "junit.xml").iter("testcase"):
        p = {q.get("name", ""): q.get("value", "") for q in testcase.iter("property")}
        for name, value in p.items():
            if name.endswith(".status"):
                found[p["convsuite.case"], p["convsuite.backend"], name.split(".")[1]] = value
    return found


def properties(repo: pytest.Pytester) -> dict[str, str]:
    """The properties of the only case in the JUnit file."""
    found = list(ElementTree.parse(repo.path / "junit.xml").iter("property"))
    return {p.get("name", ""): p.get("value", "") for p in found}


# What is collected


def test_case_files_become_items_and_nothing_else_does(repo: pytest.Pytester) -> None:
    write(repo, "cases/basic.yaml", CORR2D)
    result = pytest_run(repo, "-v", *OWN)
    result.assert_outcomes(passed=11)
    result.stdout.fnmatch_lines(
        [
            "cases/basic.yaml::conv/basic/corr2d[[]naive] PASSED*",
            "cases/basic.yaml::conv/basic/corr2d[[]numpy_im2col] PASSED*",
            "cases/basic.yaml::conv/basic/strided/stride=1,dtype=float32[[]naive] PASSED*",
            "test_own.py::test_own PASSED*",
            "backend*passed",
            "naive*9",
            "numpy_im2col*9",
            "how far the backends agree: convsuite check --cases cases/basic.yaml --backend naive*",
        ]
    )


@pytest.mark.parametrize(
    ("select", "count"),
    [
        (["-m", "conv and float64"], 4),
        (["-m", "smoke and forward"], 2),
        (["-m", "grad_input and float32"], 4),
        (["-m", "book"], 2),
        (["-m", "convsuite"], 10),
        (["-k", "corr2d and naive"], 1),
        *((["--convsuite-level", level], 2 if level == "smoke" else 10) for level in LEVELS),
        (["basic.yaml::conv/basic/corr2d[naive]"], 1),
        (["basic.yaml::conv/basic/corr2d"], 2),
    ],
)
def test_selecting_with_strict_markers(repo: pytest.Pytester, select: list[str], count: int) -> None:
    (repo.path / "test_own.py").unlink()
    write(repo, "basic.yaml", CORR2D)
    result = pytest_run(repo, "--collect-only", "-q", "--strict-markers", *OWN, *select)
    assert sum("::conv/" in line for line in result.outlines) == count
    assert result.ret == 0


def test_a_tag_cannot_act_as_a_mark_of_pytest(repo: pytest.Pytester) -> None:
    write(repo, "basic.yaml", CORR2D.replace("[book]", "[skip, xfail, skipif, parametrize, usefixtures]"))
    pytest_run(repo, *OWN).assert_outcomes(passed=11)


def test_ini_says_which_files_backends_and_level(repo: pytest.Pytester) -> None:
    ini = "[pytest]\nconvsuite_files = *.cases\nconvsuite_backends = naive\nconvsuite_level = smoke\n"
    write(repo, "pytest.ini", ini)
    write(repo, "basic.cases", CORR2D)
    write(repo, "other.yaml", CORR2D)
    result = pytest_run(repo, "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "basic.cases::conv/basic/corr2d[naive]",
        "test_own.py::test_own",
    ]


def test_a_file_that_the_ini_names_is_refused_not_overlooked(repo: pytest.Pytester) -> None:
    write(repo, "pytest.ini", "[pytest]\nconvsuite_files = cases/*.yaml\n")
    write(repo, "cases/typo.yaml", "operation: conv\ncase: []\n")
    result = pytest_run(repo, *OWN)
    result.stdout.fnmatch_lines(["cases/typo.yaml:2:1: unknown key case*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_id_in_two_files_is_a_collection_error_that_names_both(repo: pytest.Pytester) -> None:
    write(repo, "a/basic.yaml", TWO)
    write(repo, "b/basic.yaml", "# a comment\n" + TWO)
    result = pytest_run(repo, *OWN)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting b/basic.yaml*",
            "b/basic.yaml:5: conv/basic/first is there twice; the first is at a/basic.yaml:4",
        ]
    )
    again = ("a/basic.yaml::conv/basic/first[naive]", "a/basic.yaml::conv/basic/second[naive]")
    pytest_run(repo, *OWN, *again).assert_outcomes(passed=2)


def test_a_refused_file_is_a_collection_error_without_a_traceback(repo: pytest.Pytester) -> None:
    write(repo, "bad.yaml", CORR2D.replace("name: strided", "name: strided\n    strid: 2"))
    result = pytest_run(repo, *OWN)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*ERROR collecting bad.yaml*", "bad.yaml:13:5: unknown key strid*did you mean stride*"]
    )
    assert "pytest_items.py" not in result.stdout.str()


def test_values_that_contradict_the_definition_are_refused(repo: pytest.Pytester) -> None:
    write(repo, "bad.yaml", CORR2D.replace("[37, 43]", "[37, 44]"))
    result = pytest_run(repo, *OWN)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["bad.yaml:5: conv/bad/corr2d: expect.values say 44 at *"])


def test_the_shipped_cases_need_no_path(repo: pytest.Pytester) -> None:
    write(repo, "own.yaml", CORR2D)
    for args in (["--convsuite-builtin"], ["--pyargs", "convsuite_cases"]):
        result = pytest_run(repo, "--collect-only", "-q", "--convsuite-level=smoke", "--convsuite-backend=naive", *args)
        ids = [line.partition("::")[2] for line in result.outlines if "::" in line]
        assert ids
        assert all(re.fullmatch(r"\w+/.+\[naive\]", i) for i in ids)
        assert not any(i.startswith("conv/own/") for i in ids)
    smoke = ("--convsuite-level=smoke", "--convsuite-backend=naive")
    ran = pytest_run(repo, "--convsuite-builtin", *smoke)
    ran.stdout.fnmatch_lines(["how far the backends agree: convsuite check --backend naive"])
    both = pytest_run(repo, "own.yaml", "--collect-only", "-q", "--convsuite-builtin", *smoke)
    assert len([line for line in both.outlines if "::" in line]) == len(ids) + 1


# Backends that are not there


def test_an_unknown_backend_is_a_usage_error(repo: pytest.Pytester) -> None:
    result = pytest_run(repo, "--convsuite-backend", "numpy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no backend 'numpy': did you mean numpy_im2col*"])


def hide_jax(repo: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make JAX look not installed in the processes that follow, whether it is or not."""
    folder = repo.mkdir("hidden")
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['jax'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def test_a_backend_named_but_not_installed(repo: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_jax(repo, monkeypatch)
    write(repo, "basic.yaml", CORR2D)
    named = pytest_run(repo, "--convsuite-backend", "jax")
    assert named.ret == pytest.ExitCode.USAGE_ERROR
    named.stderr.fnmatch_lines(["ERROR: jax is not installed: pip install 'convsuite[[]jax]'"])
    write(repo, "pytest.ini", "[pytest]\nconvsuite_backends = jax naive\n")
    listed = pytest_run(repo)
    listed.assert_outcomes(passed=6, skipped=1)
    listed.stdout.fnmatch_lines(["SKIPPED*jax is not installed: pip install 'convsuite[[]jax]'"])


def test_a_framework_that_turns_out_to_be_missing_is_skipped(repo: pytest.Pytester, planted) -> None:
    source = (
        PLANTED + "    requires = ('no_such_framework',)\n    def __init__(self, device): import no_such_framework\n"
    )
    planted({"absent": source})
    write(repo, "basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "absent", "--convsuite-backend", "naive")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*basic.yaml:4: absent is not installed"])


def test_a_backend_that_cannot_be_imported_fails_each_item_in_one_sentence(repo: pytest.Pytester, planted) -> None:
    planted({"broken": "raise RuntimeError('libfoo.so is too old')\n"})
    write(repo, "basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "broken", "--convsuite-backend", "naive")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["error: broken [[]forward]: installed, but * RuntimeError: libfoo.so is too old"])


# What becomes of an item


def test_a_mismatch_fails_with_the_sentence_and_the_way_back(repo: pytest.Pytester, planted) -> None:
    planted({"liar": LIAR})
    write(repo, "cases/basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "liar", "--convsuite-backend", "naive")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "mismatch: conv/basic/first on liar [[]forward]: 16 of 16 elements wrong; worst at *",
            "rerun: pytest 'cases/basic.yaml::conv/basic/first[[]liar[]]' --convsuite-backend liar",
            "   or: convsuite check conv/basic/first --backend liar --cases cases/basic.yaml",
            "liar *2",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert ".py:" not in result.stdout.str()
    rerun = next(line for line in result.outlines if line.startswith("rerun: pytest "))
    pytest_run(repo, *shlex.split(rerun)[2:]).assert_outcomes(failed=1)


def test_the_second_rerun_line_asks_no_list_about_other_files(repo: pytest.Pytester, planted) -> None:
    """The lists beside the file are about its neighbours, too; `convsuite check` reads the one file alone."""
    folder = planted({"liar": LIAR})
    write(repo, "basic.yaml", TWO)
    write(repo, "other.yaml", SINGLE)
    write(repo, "known_failures/naive.yaml", KNOWN.replace("liar", "naive").replace("basic/first", "other/single"))
    result = pytest_run(repo, "basic.yaml", "--convsuite-backend", "liar")
    rerun = next(line for line in result.outlines if line.strip().startswith("or: convsuite "))
    for module in folder.glob("planted_liar*.py"):
        module.write_text(LIAR.replace(" + 1", ""))
    done = subprocess.run(
        [sys.executable, "-m", "convsuite.cli", *shlex.split(rerun)[2:]], cwd=repo.path, capture_output=True, text=True
    )
    assert (done.returncode, "nothing found" in done.stdout) == (0, True), done


def test_the_rerun_line_keeps_level_and_holds_below_the_root(repo: pytest.Pytester, planted) -> None:
    planted({"liar": LIAR})
    write(repo, "pytest.ini", "[pytest]\n")
    write(repo, "sub/deep.yaml", SINGLE.replace("name: single", "name: single, level: full"))
    os.chdir(repo.path / "sub")
    result = pytest_run(repo, "--convsuite-backend", "liar", "--convsuite-level", "full")
    rerun = next(line for line in result.outlines if line.startswith("rerun: pytest "))
    assert rerun == "rerun: pytest 'deep.yaml::conv/deep/single[liar]' --convsuite-backend liar --convsuite-level full"
    pytest_run(repo, *shlex.split(rerun)[2:]).assert_outcomes(failed=1)


def test_a_crash_costs_one_item(repo: pytest.Pytester, planted) -> None:
    planted({"fragile": CRASHES})
    write(repo, "basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "fragile")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["crash: conv/basic/first on fragile [[]forward]: its process died of SIGABRT*"])


def test_a_hang_ends_with_the_time_limit(repo: pytest.Pytester, planted) -> None:
    planted({"slow": PLANTED + "    def conv(self, *args): time.sleep(600)\n"})
    write(repo, "basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "slow", "--convsuite-timeout", "1")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["timeout: conv/basic/first on slow [[]forward]: no answer after 1 s*"])


def test_unsupported_is_skipped_with_its_reason(repo: pytest.Pytester, planted) -> None:
    source = PLANTED + "    def support(self, case): return Support.unsupported('no such stride')\n"
    planted({"narrow": "from convsuite.case import Support\n" + source})
    write(repo, "basic.yaml", SINGLE)
    result = pytest_run(repo, "--convsuite-backend", "narrow")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1] basic.yaml:4: no such stride"])


def test_a_pass_that_is_unsupported_stays_in_the_report_of_those_that_passed(repo: pytest.Pytester, planted) -> None:
    source = PLANTED + "    def gradient_support(self, case): return Support.unsupported('no autodiff')\n"
    planted({"narrow": "from convsuite.case import Support\n" + source})
    write(repo, "basic.yaml", SINGLE)
    pytest_run(repo, "--convsuite-backend", "narrow", "--junitxml=junit.xml").assert_outcomes(passed=2)
    found = properties(repo)
    assert found["convsuite.forward.status"] == "passed"
    assert found["convsuite.forward.gate"] == "exact"
    assert found["convsuite.forward.compared"] == "16"
    assert found["convsuite.forward.accumulator"] == "float32"
    assert found["convsuite.forward.tf32"] == "false"
    assert found["convsuite.grad_input.status"] == "unsupported"
    assert found["convsuite.grad_input.reason"] == "no autodiff"


KNOWN = """
backend: liar
failures:
  - {cases: [conv/basic/first], status: mismatch, reason: adds one to everything, link: not reported}
"""


def test_a_known_failure_is_an_xfail_and_strict(repo: pytest.Pytester, planted) -> None:
    planted({"liar": LIAR})
    write(repo, "suite/conv/basic.yaml", TWO)
    write(repo, "suite/known_failures/liar.yaml", KNOWN)
    result = pytest_run(repo, "--convsuite-backend", "liar")
    result.assert_outcomes(passed=1, xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["XFAIL *first* - adds one to everything (not reported)"])
    write(repo, "suite/known_failures/liar.yaml", KNOWN.replace("backend: liar", "backend: naive"))
    fixed = pytest_run(repo, "--convsuite-backend", "naive")
    fixed.assert_outcomes(passed=2, failed=1)
    fixed.stdout.fnmatch_lines(["fixed_upstream: conv/basic/first on naive [[]forward]: listed in *but it passed*"])


def test_a_bad_list_of_known_failures_is_a_collection_error(repo: pytest.Pytester) -> None:
    write(repo, "basic.yaml", TWO)
    write(repo, "known_failures/naive.yaml", "backend: naive\nfailure: []\n")
    result = pytest_run(repo, *OWN)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["known_failures/naive.yaml: *`failure`*"])


def test_a_suspect_passes_with_a_warning(repo: pytest.Pytester, planted) -> None:
    planted({"vague": PLANTED + "    def conv(self, *args): return super().conv(*args) * (1 + 2 ** -15)\n"})
    wide = SINGLE.replace("passes: [forward, grad_input]", "channels: {in: 64, out: 2}, fill: normal")
    write(repo, "basic.yaml", wide)
    result = pytest_run(repo, "--convsuite-backend", "vague")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*SuspectWarning: passed: conv/basic/single on vague [[]forward]: within the proven*"])
    strict = pytest_run(repo, "--convsuite-backend", "vague", "-W", "error::convsuite.pytest_plugin.SuspectWarning")
    strict.assert_outcomes(passed=1, failed=1)


# Processes


@pytest.mark.parametrize("args", [[], ["-n", "2"]])
def test_verdicts_are_those_of_convsuite_check(repo: pytest.Pytester, planted, args: list[str]) -> None:
    planted({"liar": LIAR, "fragile": CRASHES})
    write(repo, "cases/basic.yaml", CORR2D)
    backends = ["naive", "numpy_im2col", "liar", "fragile"]
    ours = verdicts(repo, *(f"--convsuite-backend={name}" for name in backends), *args)
    command = [sys.executable, "-m", "convsuite.cli", "check", "--json", "--cases", "cases"]
    command += [word for name in backends for word in ("--backend", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    theirs = {(o["case_id"], o["backend"], o["pass"]): o["status"] for o in lines if "case_id" in o}
    assert ours == theirs
    assert set(ours.values()) == {"passed", "mismatch", "crash"}


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("args", [["-x"], ["-n", "1"]])
def test_no_process_is_left_behind(repo: pytest.Pytester, planted, args: list[str]) -> None:
    pids = repo.path / "pids"
    planted({"liar": LIAR + f"    def __init__(self, device): open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"})
    write(repo, "basic.yaml", TWO)
    assert pytest_run(repo, "--convsuite-backend", "liar", *args).ret == pytest.ExitCode.TESTS_FAILED
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 1
    assert all(gone(pid) for pid in started)


def test_ctrl_c_ends_the_processes_and_keeps_the_summary(repo: pytest.Pytester, planted) -> None:
    pids = repo.path / "pids"
    interrupt = (
        f"open({str(pids)!r}, 'w').write(str(os.getpid())), os.kill(os.getppid(), signal.SIGINT), time.sleep(600)"
    )
    planted({"rude": PLANTED + f"    def conv(self, *args): {interrupt}\n"})
    write(repo, "basic.yaml", TWO)
    result = pytest_run(repo, "--convsuite-backend", "naive", "--convsuite-backend", "rude")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert gone(int(pids.read_text()))
    result.stdout.fnmatch_lines(["naive *1"])


def test_a_case_is_filled_and_computed_once_for_all_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_to = tmp_path / "basic.yaml"
    write_to.write_text(SINGLE)
    case = load([write_to]).cases[0]
    filled = []
    monkeypatch.setattr(run, "fill", lambda case, fill=run.fill: filled.append(case.id) or fill(case))
    lanes = [Lane(name, "cpu", Settings(workdir=tmp_path)) for name in ("naive", "numpy_im2col")]
    try:
        run.start(lanes)
        one_by_one = run.OneByOne()
        reports = [one_by_one.check(case, lane, KnownFailures()) for lane in [*lanes, lanes[0]]]
    finally:
        for lane in lanes:
            lane.close()
    assert filled == [case.id]
    assert [[o.backend for o in r.outcomes] for r in reports] == [["naive"] * 2, ["numpy_im2col"] * 2, ["naive"] * 2]
    assert all(o.status == "passed" for r in reports for o in r.outcomes)


def test_a_run_without_case_files_pays_nothing(repo: pytest.Pytester) -> None:
    heavy = "{'numpy', 'pebble', 'msgspec', 'yaml', 'rich'}"
    write(repo, "conftest.py", f"import sys\ndef pytest_unconfigure(): print('LOADED', {heavy} & set(sys.modules))\n")
    result = pytest_run(repo)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["LOADED set()"])
