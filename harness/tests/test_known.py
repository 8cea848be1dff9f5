"""Known failures: what an entry covers, and that a list may not rot."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from convsuite import casefile, known
from convsuite.case import Case, Level, Outcome, Pass, Status, Support
from convsuite.errors import KnownFailureError
from convsuite.known import KnownFailures
from convsuite.sources import KNOWN_FAILURES

ENTRY = """
backend: torch
failures:
  - cases: [conv/some/a*]
    status: mismatch
    reason: loses a product where the stride is 3
    link: https://example.org/issues/1
"""


def listed(folder: Path, text: str, flags: frozenset[str] = frozenset()) -> KnownFailures:
    (folder / "known_failures").mkdir(exist_ok=True)
    (folder / "known_failures" / "torch.yaml").write_text(text)
    return known.load([folder / "known_failures"], flags)


def outcome(
    status: Status = Status.MISMATCH,
    case: str = "conv/some/a",
    backend: str = "torch",
    pass_: Pass = Pass.FORWARD,
    device: str = "cpu",
) -> Outcome:
    return Outcome(
        case_id=case, operation="conv", dtype="float32", pass_=pass_, backend=backend, device=device, status=status,
        support=Support(Level.NATIVE), message="as it was",
    )  # fmt: skip


def judged(failures: KnownFailures, version: str = "2.13.0", **which: object) -> Status:
    return failures.judge(outcome(**which), version).status  # type: ignore[arg-type]


class TestOneEntry:
    def test_a_listed_failure_is_known_with_its_reason_and_link(self, tmp_path: Path) -> None:
        made = listed(tmp_path, ENTRY).judge(outcome(), "2.13.0")
        assert made.status is Status.KNOWN_FAILURE
        assert not made.finding
        assert made.known == "loses a product where the stride is 3 (https://example.org/issues/1)"
        assert made.message == "as it was"

    def test_what_passes_is_fixed_and_a_finding(self, tmp_path: Path) -> None:
        made = listed(tmp_path, ENTRY).judge(outcome(Status.PASSED), "2.13.0")
        assert made.status is Status.FIXED_UPSTREAM
        assert made.finding
        said = "listed in known_failures/torch.yaml as mismatch, but it passed: loses a product where the stride is 3"
        assert made.message == f"{said} (https://example.org/issues/1)"

    def test_what_is_declared_unsupported_now_is_a_finding(self, tmp_path: Path) -> None:
        declared = replace(outcome(Status.UNSUPPORTED), support=Support.unsupported("no such stride"))
        made = listed(tmp_path, ENTRY).judge(declared, "2.13.0")
        assert made.status is Status.FIXED_UPSTREAM
        assert made.finding
        said = "it is declared unsupported now (no such stride); remove the entry or the declaration"
        assert made.message.startswith(f"listed in known_failures/torch.yaml as mismatch, but {said}: loses a product")

    def test_what_is_not_listed_or_may_pass_stays_unsupported(self, tmp_path: Path) -> None:
        assert judged(listed(tmp_path, ENTRY), status=Status.UNSUPPORTED, case="conv/b") is Status.UNSUPPORTED
        assert judged(listed(tmp_path, ENTRY + "    always: false\n"), status=Status.UNSUPPORTED) is Status.UNSUPPORTED

    @pytest.mark.parametrize("status", [Status.ERROR, Status.CRASH, Status.TIMEOUT])
    def test_another_status_than_listed_stays(self, tmp_path: Path, status: Status) -> None:
        assert judged(listed(tmp_path, ENTRY), status=status) is status

    @pytest.mark.parametrize("which", [{"case": "conv/some/b"}, {"backend": "tensorflow"}, {"backend": "torchlike"}])
    @pytest.mark.parametrize("status", [Status.MISMATCH, Status.PASSED])
    def test_others_stay_as_they_were(self, tmp_path: Path, which: dict[str, str], status: Status) -> None:
        assert judged(listed(tmp_path, ENTRY), status=status, **which) is status

    def test_always_false_takes_either(self, tmp_path: Path) -> None:
        failures = listed(tmp_path, ENTRY + "    always: false\n")
        assert judged(failures) is Status.KNOWN_FAILURE
        assert judged(failures, status=Status.PASSED) is Status.PASSED

    def test_two_entries_each_for_its_status(self, tmp_path: Path) -> None:
        second = ENTRY.partition("failures:\n")[2].replace("status: mismatch", "status: crash")
        failures = listed(tmp_path, ENTRY.rstrip() + "\n" + second.strip("\n") + "\n")
        assert judged(failures, status=Status.CRASH) is Status.KNOWN_FAILURE
        assert judged(failures, status=Status.MISMATCH) is Status.KNOWN_FAILURE
        assert judged(failures, status=Status.ERROR) is Status.ERROR

    def test_every_variant_unless_some_are_named(self, tmp_path: Path) -> None:
        assert judged(listed(tmp_path, ENTRY), backend="torch:compile") is Status.KNOWN_FAILURE
        named = listed(tmp_path, ENTRY + "    variants: ['torch:compile']\n")
        assert judged(named, backend="torch:compile") is Status.KNOWN_FAILURE
        assert judged(named, backend="torch") is Status.MISMATCH

    def test_passes(self, tmp_path: Path) -> None:
        failures = listed(tmp_path, ENTRY + "    passes: [grad_weight, grad_bias]\n")
        assert judged(failures, pass_=Pass.GRAD_BIAS) is Status.KNOWN_FAILURE
        assert judged(failures, pass_=Pass.FORWARD) is Status.MISMATCH

    def test_a_device(self, tmp_path: Path) -> None:
        everywhere = listed(tmp_path, ENTRY)
        assert [judged(everywhere, device=d) for d in ("cpu", "cuda:1")] == 2 * [Status.KNOWN_FAILURE]
        gpus = listed(tmp_path, ENTRY + "    device: cuda\n")
        assert judged(gpus, device="cuda") is judged(gpus, device="cuda:1") is Status.KNOWN_FAILURE
        assert judged(gpus) is Status.MISMATCH
        assert judged(gpus, status=Status.PASSED) is Status.PASSED

    def test_flags_of_a_cpu_say_nothing_of_a_gpu_beside_it(self, tmp_path: Path) -> None:
        failures = listed(tmp_path, ENTRY + "    cpu: [fma]\n", frozenset({"fma"}))
        assert judged(failures) is Status.KNOWN_FAILURE
        assert judged(failures, device="cuda", status=Status.PASSED) is Status.PASSED

    def test_flags_of_a_cpu_are_not_asked_of_a_gpu(self, tmp_path: Path) -> None:
        with pytest.raises(KnownFailureError, match="cpu: fma says nothing of device: cuda"):
            listed(tmp_path, ENTRY + "    device: cuda\n    cpu: [fma]\n")

    def test_cpu_flags(self, tmp_path: Path) -> None:
        text = ENTRY + "    cpu: [avx512f, amx_bf16]\n"
        assert judged(listed(tmp_path, text, frozenset({"fma", "avx512f", "amx_bf16"}))) is Status.KNOWN_FAILURE
        assert judged(listed(tmp_path, text, frozenset({"fma", "avx512f"}))) is Status.MISMATCH
        assert judged(listed(tmp_path, text), status=Status.PASSED) is Status.PASSED


# range, version, whether the entry holds
VERSIONS = [
    ("", "2.13.0", True),
    ("", "", True),
    ("", "of our own making", True),
    (">=2.6,<2.14", "2.13.0", True),
    (">=2.6,<2.14", "2.13.0+cpu", True),
    (">=2.6,<2.14", "2.6.0", True),
    (">=2.6,<2.14", "2.5.1+cu121", False),
    (">=2.6,<2.14", "2.14.0", False),
    (">=2.6,<2.14", "2.14.0.dev20260101+cpu", False),  # on the way to 2.14: not before it
    (">=2.6,<2.14", "2.13.0.dev20251001", True),
    (">=2.13", "2.14.0a0+git0123abc", True),
    ("==2.13.0", "2.13.0+cpu", True),
    ("<=2.13.0", "2.13.0+cpu", True),
    (">2.13.0", "2.13.0+cpu", False),
    ("==2.13.*", "2.13.1rc1", True),
    ("!=2.13.0", "2.13.0+cpu", False),
    (">=2.6", "of our own making", False),
    (">=2.6", "", False),
]


@pytest.mark.parametrize(("versions", "version", "holds"), VERSIONS)
def test_versions(tmp_path: Path, versions: str, version: str, holds: bool) -> None:
    failures = listed(tmp_path, ENTRY + f"    versions: '{versions}'\n")
    assert judged(failures, version) is (Status.KNOWN_FAILURE if holds else Status.MISMATCH)
    assert judged(failures, version, status=Status.PASSED) is (Status.FIXED_UPSTREAM if holds else Status.PASSED)


class TestStale:
    @pytest.fixture
    def cases(self, tmp_path: Path) -> tuple[Case, ...]:
        (tmp_path / "some.yaml").write_text(
            "operation: conv\ndefaults: {input: 5, kernel: 2}\n"
            "cases: [{name: a, level: full}, {name: b, passes: [forward, grad_weight]}]\n"
        )
        return casefile.load([tmp_path / "some.yaml"]).cases

    def test_a_glob_that_matches_is_in_use(self, tmp_path: Path, cases: tuple[Case, ...]) -> None:
        assert listed(tmp_path, ENTRY).unmatched(cases, [tmp_path / "known_failures"]) == ()

    def test_each_glob_that_matches_nothing_is_told(self, tmp_path: Path, cases: tuple[Case, ...]) -> None:
        stale = listed(tmp_path, ENTRY.replace("[conv/some/a*]", "[conv/some/a*, conv/gone/*, conv/some]"))
        assert stale.unmatched(cases, [tmp_path / "known_failures"]) == (
            "known_failures/torch.yaml: 'conv/gone/*' matches no case",
            "known_failures/torch.yaml: 'conv/some' matches no case",
        )

    def test_a_pass_that_no_such_case_has(self, tmp_path: Path, cases: tuple[Case, ...]) -> None:
        text = ENTRY.replace("a*", "*") + "    passes: [{}]\n"
        assert listed(tmp_path, text.format("grad_weight")).unmatched(cases, [tmp_path / "known_failures"]) == ()
        (told,) = listed(tmp_path, text.format("grad_bias")).unmatched(cases, [tmp_path / "known_failures"])
        assert told.endswith("'conv/some/*' matches no case with grad_bias")

    def test_a_list_whose_suite_was_not_read_whole_is_not_asked(self, tmp_path: Path, cases: tuple[Case, ...]) -> None:
        stale = listed(tmp_path, ENTRY.replace("some/a*", "gone"))
        assert len(stale.unmatched(cases, [tmp_path / "known_failures"])) == 1
        assert stale.unmatched(cases, [tmp_path / "other"]) == ()

    def test_stale_on_every_cpu(self, tmp_path: Path, cases: tuple[Case, ...]) -> None:
        text = ENTRY.replace("some/a*", "gone") + "    cpu: [no_such_flag]\n"
        assert len(listed(tmp_path, text).unmatched(cases, [tmp_path / "known_failures"])) == 1


BAD = {
    "empty": ("", "Expected `object`, got `null`"),
    "no mapping": ("- torch", "Expected `object`, got `array`"),
    "not YAML": ("backend: [", "expected the node content"),
    "not UTF-8": ("backend: \udcff", "invalid start byte"),
    "a tag": ("backend: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "nested": ("[" * 5000, "nested too deeply"),
    "unknown key": (ENTRY + "    becuase: x\n", "unknown field `becuase`"),
    "unknown key at the top": (ENTRY + "version: 1\n", "unknown field `version`"),
    "backend is a number": (ENTRY.replace("torch", "3"), "Expected `str`, got `int` - at `$.backend`"),
    "no backend": (ENTRY.replace("backend: torch", ""), "missing required field `backend`"),
    "no link": (ENTRY.replace("    link: https://example.org/issues/1\n", ""), "missing required field `link`"),
    "no real link": (ENTRY.replace("https://example.org/issues/1", "somewhere"), "`$.failures[0].link`"),
    "no reason": (ENTRY.replace("loses a product where the stride is 3", "bug"), "`$.failures[0].reason`"),
    "no cases": (ENTRY.replace("[conv/some/a*]", "[]"), "`$.failures[0].cases`"),
    "a case, not a list": (ENTRY.replace("[conv/some/a*]", "conv/some/a"), "`$.failures[0].cases`"),
    "a status of ours": (ENTRY.replace("status: mismatch", "status: passed"), "`$.failures[0].status`"),
    "bad range": (ENTRY + "    versions: '2.6 to 2.14'\n", "write e.g. '>=2.6,<2.14'"),
    "a version, not a range": (ENTRY + "    versions: '2.6'\n", "write e.g. '>=2.6,<2.14'"),
    "a date": (ENTRY + "    versions: 2024-13-45\n", "month must be in 1..12"),
    "a number as range": (ENTRY + "    versions: 2.6\n", "`$.failures[0].versions`"),
    "unknown pass": (ENTRY + "    passes: [backward]\n", "`$.failures[0].passes[0]`"),
    "another backend's variant": (ENTRY + "    variants: ['jax:eager']\n", "'jax:eager' is no variant of 'torch'"),
    "a slip in the backend": (
        ENTRY.replace("torch", "torhc"),
        "no backend 'torhc': did you mean torch? Is its distribution installed?",
    ),
    "a backend of nobody": (ENTRY.replace("torch", "xyz"), "no backend 'xyz': known are jax, keras, "),
    "a slip in a variant": (
        ENTRY + "    variants: ['torch:compil']\n",
        "no variant 'torch:compil' of torch: did you mean torch:compile",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_list_is_refused_with_its_name(tmp_path: Path, what: str) -> None:
    text, said = BAD[what]
    (tmp_path / "torch.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KnownFailureError) as refused:
        known.load([tmp_path / "torch.yaml"], frozenset())
    assert str(refused.value).startswith(f"{tmp_path / 'torch.yaml'}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_folders_and_files_are_read_in_order_others_left_alone(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "notes.txt"):
        (tmp_path / name).write_text(ENTRY if name != "notes.txt" else "backend: [")
    loaded = known.load([tmp_path, tmp_path / "b.yml", tmp_path / "nowhere"], frozenset())
    assert [entry.place for entry in loaded.listed] == [
        f"{tmp_path.name}/a.yaml", f"{tmp_path.name}/b.yml", str(tmp_path / "b.yml"),
    ]  # fmt: skip


def test_a_folder_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "torch.yaml").write_text(ENTRY)
    assert len(known.load([tmp_path, tmp_path], frozenset()).listed) == 1


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torch.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(KnownFailureError, match=r"torch.yaml: .*No such file"):
        known.load([tmp_path], frozenset())


def test_every_shipped_glob_is_about_a_shipped_case() -> None:
    """Told here, too, since a run of some cases asks only the lists' globs about those."""
    lists = files(casefile.BUILTIN) / KNOWN_FAILURES
    assert known.load([lists], frozenset()).unmatched(casefile.builtin().cases, [lists]) == ()
