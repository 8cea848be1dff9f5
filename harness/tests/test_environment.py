"""The record of where a run was made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from convsuite import environment
from convsuite.environment import cpu_flags, observe
from convsuite.lane import thread_environment

X86 = "processor : 0\nmodel name\t: A CPU @ 2: GHz\nflags\t\t: fpu sse4_2 avx2 fma amx_bf16\n\nflags\t\t: other\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimdhp sve2\n"


def git(folder: Path, *words: str) -> str:
    options = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ("git", "-C", str(folder), *options, *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one committed case file, in cases/."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("GIT_") and name != "GIT_CEILING_DIRECTORIES"]:
        monkeypatch.delenv(name)
    folder = tmp_path / "repository"
    (folder / "cases").mkdir(parents=True)
    (folder / "cases" / "a.yaml").write_text("operation: conv\n")
    (folder / ".gitignore").write_text(".venv\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return folder


class TestRevision:
    def revision(self, cases: Path | None) -> str:
        return observe(1, cases).cases_revision

    def test_of_a_clean_folder(self, repository: Path) -> None:
        assert self.revision(repository / "cases") == git(repository, "rev-parse", "--short=12", "HEAD")

    def test_of_a_file(self, repository: Path) -> None:
        assert self.revision(repository / "cases" / "a.yaml") == git(repository, "rev-parse", "--short=12", "HEAD")

    def test_dirty_by_a_change(self, repository: Path) -> None:
        (repository / "cases" / "a.yaml").write_text("operation: fold\n")
        assert self.revision(repository / "cases") == git(repository, "rev-parse", "--short=12", "HEAD") + "+dirty"

    def test_dirty_by_a_new_file(self, repository: Path) -> None:
        (repository / "cases" / "b.yaml").touch()
        assert self.revision(repository / "cases").endswith("+dirty")

    def test_a_change_elsewhere_is_not_the_cases(self, repository: Path) -> None:
        (repository / "other.txt").touch()
        assert not self.revision(repository / "cases").endswith("+dirty")

    def test_files_that_git_ignores_have_none(self, repository: Path) -> None:
        """As the cases that convsuite ships, installed into a .venv inside somebody's repository."""
        (repository / ".venv" / "cases").mkdir(parents=True)
        (repository / ".venv" / "cases" / "a.yaml").touch()
        assert self.revision(repository / ".venv" / "cases") == ""

    def test_outside_a_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert self.revision(tmp_path) == ""

    def test_without_git(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(repository))
        assert self.revision(repository / "cases") == ""

    def test_of_no_folder(self) -> None:
        assert self.revision(None) == ""


class TestCpu:
    @pytest.fixture
    def cpuinfo(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A file that is read in place of /proc/cpuinfo."""
        file = tmp_path / "cpuinfo"
        monkeypatch.setattr(environment, "Path", lambda _: file)
        return file

    def test_flags_of_the_first_processor(self, cpuinfo: Path) -> None:
        cpuinfo.write_text(X86)
        assert cpu_flags() == {"fpu", "sse4_2", "avx2", "fma", "amx_bf16"}
        seen = observe(1, None)
        assert seen.cpu == "A CPU @ 2: GHz"
        assert seen.isa == ("sse4_2", "fma", "avx2", "amx_bf16")

    def test_features_as_arm_names_them(self, cpuinfo: Path) -> None:
        cpuinfo.write_text(ARM)
        assert cpu_flags() == {"fp", "asimd", "asimdhp", "sve2"}
        assert observe(1, None).isa == ("asimd", "asimdhp", "sve2")

    def test_a_platform_that_does_not_tell(self, cpuinfo: Path) -> None:
        assert not cpuinfo.exists()
        assert cpu_flags() == frozenset()
        seen = observe(1, None)
        assert seen.isa == ()
        assert seen.cpu


def test_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNRELATED_SECRET", "x")
    monkeypatch.setenv("TF_XLA_FLAGS", "--x")
    seen = observe(4, None)
    assert "UNRELATED_SECRET" not in dict(seen.variables)
    assert dict(seen.variables)["TF_XLA_FLAGS"] == "--x"
    assert seen.threads == 4
    assert seen.cores >= 1
    assert all((seen.platform, seen.python, seen.numpy, seen.convsuite))


def test_variables_are_those_that_workers_start_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number of threads is the run's, whatever this process was given."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    variables = dict(observe(4, None).variables)
    assert thread_environment(4).items() <= variables.items()
    assert variables["OMP_NUM_THREADS"] == "4"


@pytest.mark.parametrize("name", ["TF_CLI_CONFIG_FILE", "TF_VAR_password", "TF_TOKEN_example_org", "TF_LOG"])
def test_another_programs_variables_are_not_recorded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Terraform's begin as TensorFlow's do."""
    monkeypatch.setenv(name, "x")
    assert name not in dict(observe(1, None).variables)


def test_what_chooses_kernels_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_VERBOSE", "0")
    seen = observe(1, None).kernels
    assert "OPENBLAS_CORETYPE=Haswell" in seen
    assert not any("VERBOSE" in one for one in seen)
