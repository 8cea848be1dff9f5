"""What a run looks like: nothing is cut, nothing is taken for markup, colour is for terminals."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from convsuite import terminal
from convsuite.case import Agreement, Level, Numerics, Outcome, Pass, Status, Support, Verdict
from convsuite.operations import conv
from convsuite.run import IMPORT, Report
from convsuite.tally import Tally
from convsuite.terminal import Rerun

OUTCOME = Outcome(
    case_id="conv/a", operation="conv_transpose", dtype="float32", pass_=Pass.FORWARD, backend="torch:channels_last",
    device="cpu", status=Status.PASSED, support=Support(Level.NATIVE),
)  # fmt: skip


def tally_of(*outcomes: Outcome, agreements: tuple[Agreement, ...] = ()) -> Tally:
    tally = Tally()
    tally.add(Report(case=None, outcomes=outcomes, agreements=agreements))
    return tally


def printed(tally: Tally, width: int = 160, rerun: Rerun | None = None) -> str:
    stream = io.StringIO()
    terminal.print_tally(Console(file=stream, width=width), tally, rerun or Rerun())
    return stream.getvalue()


def agreements(names: list[str], units: float) -> Iterator[Agreement]:
    for i, left in enumerate(names):
        for right in names[i + 1 :]:
            yield Agreement(
                case_id="conv/a", operation="conv", pass_=Pass.FORWARD, left=left, right=right, identical=False,
                units=units,
            )  # fmt: skip


class TestTables:
    def test_eighty_columns_hold_a_usual_run(self) -> None:
        kinds = (Status.PASSED, Status.KNOWN_FAILURE, Status.UNSUPPORTED, Status.MISMATCH)
        tally = tally_of(*(replace(OUTCOME, operation="conv", status=s) for s in kinds for _ in range(12)))
        table = printed(tally, width=80).partition("\nmismatch")[0]
        assert max(map(len, table.splitlines())) <= 80
        assert re.search(r"operation +backend +passed +mismatch +known +unsupported *\n", table)
        assert re.search(r"conv +torch:channels_last +12 +12 +12 +12 *\n", table)

    def test_a_wide_terminal_has_every_column(self) -> None:
        assert re.search(r"conv_transpose +torch:channels_last +1( +·){8} *\n", printed(tally_of(OUTCOME)))

    @pytest.mark.parametrize("width", [10, 40, 80, 100, 160])
    def test_nothing_is_ever_cut(self, width: int) -> None:
        names = ["jax", "keras", "naive", "numpy_im2col", "scipy", "tensorflow:no_onednn", "torch:channels_last"]
        tally = tally_of(*(replace(OUTCOME, status=s) for s in Status), agreements=tuple(agreements(names, 1.25e9)))
        text = printed(tally, width)
        assert "…" not in text
        for whole in ("mismatch", "unsupported", "conv_transpose", "torch:channels_last", "numpy_im2col", "1.2e+09"):
            assert whole in text

    def test_agreement_fits_eighty_columns(self) -> None:
        names = ["jax", "keras", "naive", "numpy_im2col", "scipy", "tensorflow", "torch"]
        text = printed(tally_of(agreements=tuple(agreements(names, 1.25))), width=80)
        assert max(len(line) for line in text.splitlines()[2:]) <= 80

    def test_agreement_says_100_only_of_all(self) -> None:
        same = Agreement(
            case_id="conv/a", operation="conv", pass_=Pass.FORWARD, left="a", right="b", identical=True, units=0.0
        )
        assert re.search(r"a +100% = *\n", printed(tally_of(agreements=(same,))))
        apart = replace(same, identical=False, units=2.5)
        assert re.search(r"a +99.9% 2.5 *\n", printed(tally_of(agreements=(*[same] * 5000, apart))))

    def test_suspects_keep_their_column(self) -> None:
        odd = Verdict(gate="guaranteed", right=True, message="", compared=1, suspect=True)
        text = printed(tally_of(replace(OUTCOME, verdict=odd)), width=80)
        assert re.search(r"passed +suspect *\n", text)


class TestFindings:
    def test_markup_and_control_characters_are_printed_as_they_are(self) -> None:
        bad = replace(
            OUTCOME, status=Status.ERROR, case_id="conv/[red]/[/]", backend="[bold]b[/bold]", operation="[i]op[/i]",
            message="[/] [red]x[/red] \x1b[2J\rover :smile:\n  next line",
        )  # fmt: skip
        text = printed(tally_of(bad))
        assert "error conv/[red]/[/] [forward] on [bold]b[/bold]\n" in text
        assert "  [/] [red]x[/red] \\x1b[2J\\x0dover :smile:\n  next line\n" in text
        assert re.search(r"\[i\]op\[/i\] +\[bold\]b\[/bold\] +·", text)
        assert "rerun: convsuite check 'conv/[red]/[/]' --backend '[bold]b[/bold]'" in text

    def test_a_long_message_is_not_wrapped_apart(self) -> None:
        text = printed(tally_of(replace(OUTCOME, status=Status.ERROR, message="word " * 60 + "end")), width=80)
        assert "word " * 60 + "end\n" in text

    def test_passes_that_came_to_the_same_are_one_finding(self) -> None:
        bad = [replace(OUTCOME, status=Status.CRASH, pass_=p, message="died") for p in conv.PASSES]
        text = printed(tally_of(*bad))
        assert text.count("rerun:") == 1
        assert "crash conv/a [forward, grad_input, grad_weight, grad_bias] on torch:channels_last\n  died\n" in text

    def test_a_finding_says_by_which_arithmetic_it_was_judged(self) -> None:
        bad = replace(OUTCOME, status=Status.MISMATCH, message="1 of 12 wrong")
        narrow = Numerics(accumulator="float32", intermediate="bfloat16", note="its own kernels")
        assert "judged under" not in printed(tally_of(replace(bad, numerics=Numerics(accumulator="float32", note="x"))))
        text = printed(tally_of(replace(bad, numerics=narrow)))
        assert "  1 of 12 wrong\n  judged under: partial sums rounded to bfloat16 (its own kernels)\n  rerun:" in text
        counted = printed(tally_of(replace(bad, numerics=replace(narrow, intermediate_roundings=3, tf32=True))))
        said = "partial sums rounded to bfloat16 at most 3 times, products of operands rounded to 11 bits (TF32)"
        assert f"judged under: {said} (its own kernels)\n" in counted

    def test_passes_judged_by_different_arithmetic_stand_apart(self) -> None:
        bad = replace(OUTCOME, status=Status.MISMATCH, message="same words")
        narrow = Numerics(accumulator="float32", intermediate="bfloat16")
        text = printed(tally_of(bad, replace(bad, pass_=Pass.GRAD_BIAS, numerics=narrow)))
        assert text.count("rerun:") == 2
        assert text.count("judged under:") == 1

    def test_suspects_are_named_after_the_findings_and_are_none(self) -> None:
        odd = Verdict(gate="guaranteed", right=True, message="", compared=1, suspect=True)
        suspect = replace(OUTCOME, verdict=odd, message="right, but 9 u·B off")
        tally = tally_of(suspect, replace(OUTCOME, status=Status.ERROR, message="no", pass_=Pass.GRAD_BIAS))
        rerun = "rerun: convsuite check conv/a --backend torch:channels_last"
        named = f"\nsuspect conv/a [forward] on torch:channels_last\n  right, but 9 u·B off\n  {rerun}\n"
        assert printed(tally).partition("\nerror conv/a")[2].endswith(named)
        assert tally.found == 1

    def test_ten_suspects_are_named_the_rest_counted(self) -> None:
        odd = Verdict(gate="guaranteed", right=True, message="", compared=1, suspect=True)
        tally = Tally()
        for i in range(12):
            tally.add(Report(case=None, outcomes=(replace(OUTCOME, case_id=f"conv/{i}", verdict=odd),)))
        text = printed(tally)
        assert text.count("\nsuspect conv/") == 10
        assert "… and 2 more suspects: all are in the database" in text
        assert tally.found == 0

    def test_many_findings_are_counted_not_all_told(self) -> None:
        bad = [replace(OUTCOME, status=Status.ERROR, case_id=f"conv/{i}") for i in range(50)]
        tally = Tally()
        for outcome in bad:
            tally.add(Report(case=None, outcomes=(outcome,)))
        tally.stale.append("torch.yaml: 'conv/x' matches no case")
        text = printed(tally)
        assert text.count("rerun:") == 40
        assert "… and 10 more findings: all are in the database" in text
        assert "stale known failure: torch.yaml: 'conv/x' matches no case" in text
        assert terminal.verdict(tally) == "50 checks of 0 cases: 51 findings, 0 passed"

    def test_a_verdict_names_all_there_is(self) -> None:
        odd = Verdict(gate="guaranteed", right=True, message="", compared=1, suspect=True)
        kinds = (Status.PASSED, Status.KNOWN_FAILURE, Status.UNSUPPORTED)
        tally = tally_of(
            *(replace(OUTCOME, status=s) for s in kinds), replace(OUTCOME, verdict=odd, reproducible=False)
        )
        assert terminal.verdict(tally).partition(": ")[2] == (
            "nothing found, 2 passed, 1 known failure, 1 unsupported, 1 suspect, 1 not reproducible"
        )

    def test_a_known_failure_is_shown_to_who_asks_for_its_case(self) -> None:
        """Of many cases the reasons are enough; what one gave is seen where that one is asked for."""
        known = replace(OUTCOME, status=Status.KNOWN_FAILURE, known="it divides (not reported)", message="got 9, 7 due")
        for cases, shown in ((1, True), (2, False)):
            tally = tally_of(known)
            tally.cases = cases
            assert ("known failure conv/a" in printed(tally)) is shown
            assert ("got 9, 7 due" in printed(tally)) is shown

    def test_what_works_now_though_declared_unsupported(self) -> None:
        works = replace(OUTCOME, support=Support.unsupported("no dilation"))
        said = "declared unsupported, but right: torch:channels_last: no dilation (1 check)"
        assert said in printed(tally_of(works))


class TestRerun:
    def test_the_bare_line(self) -> None:
        assert Rerun().line(OUTCOME) == "convsuite check conv/a --backend torch:channels_last"

    def test_all_that_it_needs(self) -> None:
        rerun = Rerun(cases=("my cases", "b"), device="cuda", options=("--threads", "2"))
        words = "--backend torch:channels_last --cases 'my cases' --cases b --device cuda --threads 2"
        assert rerun.line(replace(OUTCOME, case_id="conv/a*")) == f"convsuite check 'conv/a*' {words}"
        assert rerun.look(OUTCOME) == "convsuite show conv/a --cases 'my cases' --cases b"

    def test_of_an_import(self) -> None:
        broken = replace(OUTCOME, case_id=IMPORT, operation=IMPORT, status=Status.ERROR, message="no libfoo")
        assert Rerun().line(broken) == "convsuite check --backend torch:channels_last"
        assert "error (import) on torch:channels_last\n  no libfoo\n  rerun:" in printed(tally_of(broken))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestColour:
    @pytest.fixture(autouse=True)
    def _no_wishes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")

    def shown(self, stream: io.StringIO) -> str:
        terminal.print_tally(terminal.console_for(stream), tally_of(replace(OUTCOME, status=Status.ERROR)), Rerun())
        return stream.getvalue()

    def test_on_a_terminal(self) -> None:
        assert "\x1b[31merror" in self.shown(Screen())

    def test_not_in_a_file(self) -> None:
        assert "\x1b" not in self.shown(io.StringIO())

    def test_not_where_no_color_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        assert not re.search(r"\x1b\[[\d;]*3\d", self.shown(Screen()))

    def test_a_file_is_wide_enough(self) -> None:
        assert terminal.console_for(io.StringIO()).width == 160


def test_progress_says_a_line_now_and_then_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: float(next(now)))
    stream = io.StringIO()
    with terminal.progress(Console(file=stream, width=80), 100) as advance:
        for found in range(4):
            advance(found)
    assert stream.getvalue() == "3 of 100 cases after 16 s, 2 findings so far\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (750, "12 min 30 s"), (7205, "120 min 5 s")],
)
def test_long_runs_are_told_in_minutes(seconds: float, text: str) -> None:
    assert terminal._duration(seconds) == text


def test_progress_is_a_bar_on_a_terminal() -> None:
    stream = Screen()
    console = Console(file=stream, force_terminal=True, width=80)
    with terminal.progress(console, 7) as advance:
        advance(3)
    assert "1/7" in stream.getvalue()
    assert "cases (3 findings)" in stream.getvalue()
