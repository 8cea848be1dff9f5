"""The command line. Thin: it reads options, calls the rooms, and prints; nothing is imported before it is needed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

    from convsuite.case import Case
    from convsuite.casefile import Suite

EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class _Refusal(click.ClickException):
    """A ConvsuiteError on its way out: its text, and exit code 2."""

    exit_code = EXIT_USAGE

    def show(self, file: Any = None) -> None:
        click.echo(f"convsuite: {self.message}", err=True)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; every ConvsuiteError becomes its text and exit code 2, and Ctrl-C exit code 130.

        A reader that is gone (`| head`) ends it as it would end any other program, without a word.
        """
        from convsuite.errors import ConvsuiteError

        try:
            return super().invoke(ctx)
        except ConvsuiteError as error:
            raise _Refusal(str(error)) from None
        except BrokenPipeError:  # click would make it 1, which means findings
            from convsuite.terminal import end_quietly

            end_quietly()
        except KeyboardInterrupt:  # click would make it 1, which means findings
            click.echo("convsuite: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)


def _operations(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Any:
    """Return names of operations, any other is a usage error; the operations are read only where one is asked for."""
    from convsuite.operations import OPERATIONS

    return [click.Choice(list(OPERATIONS)).convert(name, param, ctx) for name in value] or list(OPERATIONS)


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

cases_option = click.option(
    "--cases", "folders", multiple=True, type=click.Path(path_type=Path),
    help="A case file, or a folder of them, instead of the cases that convsuite ships. Repeatable.",
)  # fmt: skip

backend_option = click.option(
    "--backend", "-b", "backends", multiple=True,
    help="A backend or a variant of one, e.g. torch:compile. Repeatable. [default: all installed]",
)  # fmt: skip
device_option = click.option("--device", default="cpu", show_default=True, help="Where backends compute, e.g. cuda.")
db_option = click.option(
    "--db", type=click.Path(path_type=Path), default=Path("convsuite.db"), show_default=True,
    help="Results database (SQLite); runs are added, never overwritten.",
)  # fmt: skip


def timeout_option(default: float) -> Callable[[FC], FC]:
    """Return the option --timeout."""
    return click.option(
        "--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=default, show_default=True,
        help="Seconds that one case may take on one backend.",
    )  # fmt: skip


def level_option(more: str) -> Callable[[FC], FC]:
    """Return the option --level, with more to say of it than what it is."""
    return click.option(
        "--level", type=click.Choice(["smoke", "default", "full", "real", "large"]),
        default="default", show_default=True,
        help=f"How many cases; each level includes those before it.{more}",
    )  # fmt: skip


_PASSES = ("forward", "indices", "grad_input", "grad_weight", "grad_depthwise", "grad_pointwise", "grad_bias")
_NAMED = " A case named by its whole id is taken at any level."
_LARGE = (
    " `real` has layers of networks at their real size. `large` has more than 2^31 elements and needs 64 GB of memory."
)


@click.group(cls=_Group, context_settings=_SETTINGS)
@click.version_option(package_name="convsuite")
def main() -> None:
    """Do these backends compute the same convolution, and how far apart are they?

    \b
    convsuite check                                 all backends that are installed, default suite
    convsuite check 'conv/basic/*' --backend torch  some cases, one backend
    convsuite show conv/basic/cross_correlation     what a case means, drawn
    convsuite list backends                         what can be checked here

    Exit codes: 0 nothing found, 1 findings, 2 usage or bad input, 130 interrupted.
    """  # noqa: D301 - \b keeps click from wrapping


@main.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@cases_option
@backend_option
@click.option("--all-variants", is_flag=True, help="Every variant of every backend (or of those named).")
@device_option
@level_option(_NAMED + _LARGE)
@db_option
@click.option("--junit", type=click.Path(path_type=Path), help="Write the outcomes as JUnit XML, too.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per outcome on standard output, the summary last."
)
@click.option(
    "--known-failures",
    "lists",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Another list of known failures (a YAML file, or a folder of them), beside the suite's own. Repeatable.",
)
@timeout_option(60.0)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each backend's process."
)
@click.option(
    "--verbose", "-v", is_flag=True, help="Also tell the reasons of all known failures and of all that is unsupported."
)
@click.option("--probe", is_flag=True, help="Also try what backends declare unsupported, and tell what now works.")
def check(selectors: tuple[str, ...], **options: Any) -> None:
    """Run cases on backends, judge every answer, and name every finding.

    A SELECTOR is a glob on case ids ('conv/basic/*'), or key=value (dtype=float32, stride=2, tag=residue,
    padding!=valid).
    Globs add up; terms with different keys narrow down.

    \b
    convsuite check
    convsuite check 'conv/*' --backend numpy_im2col
    convsuite check dtype=bfloat16 pass=grad_weight --backend torch --backend torch:compile
    convsuite check --cases my_cases/ --junit results.xml
    convsuite check --level full --all-variants
    """  # noqa: D301
    from convsuite.checking import Request, run_check

    request = Request(selectors=selectors, command=shlex.join(["convsuite", *sys.argv[1:]]), **options)
    sys.exit(run_check(request))


class _Bench(_Group):
    """A group whose command `run` need not be named: `convsuite bench smoke`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front, unless another command of the group is there."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["run", *args])


@main.group(cls=_Bench, options_metavar="", subcommand_metavar="[SELECTOR]... | compare RUN_A RUN_B")
def bench() -> None:
    """Time backends side by side, or compare two runs."""


class _Run(click.Command):
    """`bench run`, which is spoken of without its own name."""

    def get_usage(self, ctx: click.Context) -> str:
        return super().get_usage(ctx).replace(" bench run ", " bench ")


@bench.command(name="run", cls=_Run)
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@cases_option
@backend_option
@click.option("--vs", "base", metavar="BACKEND", help="What all are compared with. [default: the first --backend]")
@click.option(
    "--threads",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1,),
    show_default=True,
    help="Threads of each process, which keeps to as many cores. Repeatable.",
)
@device_option
@click.option(
    "--pass",
    "passes",
    multiple=True,
    type=click.Choice(_PASSES),
    default=("forward",),
    show_default=True,
    help="What to time. Repeatable.",
)
@click.option("--cold", is_flag=True, help="Also with cold caches: other operands for each call.")
@click.option(
    "--processes", type=click.IntRange(min=1), help="Fresh processes of each backend. [default: 5; of `smoke` 1]"
)
@click.option("--quick", is_flag=True, help="Short samples of one process: to see that it works, not to be believed.")
@db_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per time on standard output, at the end.")
@timeout_option(120.0)
def bench_run(selectors: tuple[str, ...], **options: Any) -> None:
    """Time cases on backends, side by side. No time is given to an answer that is wrong.

    A SELECTOR is a suite (resnet_50_v1_5, vgg_19, mobilenet, unet, ...; `smoke` takes a minute), a glob on case ids, or
    key=value. Without one it is `smoke`. How a call is timed: docs/bench.md.

    \b
    convsuite bench
    convsuite bench resnet_50_v1_5 --backend torch --backend numpy_im2col --threads 1
    convsuite bench 'conv/vgg_19/*' --backend torch --vs torch:compile --pass forward --pass grad_weight
    convsuite bench mobilenet --cold --threads 1 --threads 2
    convsuite bench compare 3 4

    Exit codes: 0, 1 where an answer was wrong, 2 usage or bad input, 130 interrupted.
    """  # noqa: D301
    from convsuite.bench.choice import Request
    from convsuite.bench.command import run_bench

    sys.exit(run_bench(Request(selectors=selectors, command=shlex.join(["convsuite", *sys.argv[1:]]), **options)))


@bench.command(name="compare")
@click.argument("before", metavar="RUN_A")
@click.argument("after", metavar="RUN_B")
@db_option
def bench_compare(before: str, after: str, db: Path) -> None:
    """Tell what became slower or faster from one bench to another, as far as their noise allows.

    A run is a number (`convsuite bench` prints it last), `last`, or FILE:NUMBER of another database.

    \b
    convsuite bench compare 3 4
    convsuite bench compare main.db:last last

    Exit codes: 0 nothing slower by more than 5 %, 3 something is, 4 too noisy to say, 2 usage or bad input.
    """  # noqa: D301
    from convsuite.bench.compare import run_compare

    sys.exit(run_compare(before, after, db))


@main.command()
@click.argument("before", metavar="RUN_A")
@click.argument("after", metavar="RUN_B")
@db_option
def diff(before: str, after: str, db: Path) -> None:
    """Tell what differs from one run of `check` to another: what began to fail, ceased to, or is supported now.

    A run is a number (`convsuite check` prints it last), `last`, or FILE:NUMBER of another database.

    \b
    convsuite diff 3 4
    convsuite diff main.db:last last

    Exit codes: 0 nothing began to fail, 3 something did, 2 usage or bad input.
    """  # noqa: D301
    from convsuite.diff import run_diff

    sys.exit(run_diff(before, after, db))


@main.command()
@db_option
@click.option(
    "--output", "-o", "out", type=click.Path(path_type=Path),
    help="Where to write. [default: the folder convsuite-report, or convsuite-report.html]",
)  # fmt: skip
@click.option("--single-file", is_flag=True, help="One HTML file with all pages in it, to attach.")
@click.option("--run", "-r", type=click.IntRange(min=1), help="Which run. [default: the newest check]")
@cases_option
def report(**options: Any) -> None:
    """Write a run as pages to look at: what agrees, what does not, how fast. They need no server and no network.

    The cases of findings are drawn as their files say today; --cases names the files of cases of your own.

    \b
    convsuite report
    convsuite report --run 3 -o site
    convsuite report --single-file -o results.html
    """  # noqa: D301
    from convsuite_reports.command import Request, run_report

    click.echo(f"open {run_report(Request(**options))}")


_FORMATS = ("csv", "parquet", "json", "junit", "markdown", "badge")


@main.command()
@click.argument("form", metavar="FORMAT", type=click.Choice(_FORMATS))
@db_option
@click.option("--output", "-o", "out", type=click.Path(path_type=Path), help="A file. [default: standard output]")
@click.option("--run", "-r", type=click.IntRange(min=1), help="Which run. [default: the newest check]")
def export(form: str, db: Path, out: Path | None, run: int | None) -> None:
    """Write a run for other programs: csv, parquet, json (a line each), junit, markdown (a summary), badge (SVG).

    \b
    convsuite export markdown -o "$GITHUB_STEP_SUMMARY"
    convsuite export badge -o convsuite.svg
    convsuite export parquet -o outcomes.parquet
    """  # noqa: D301
    from convsuite_reports.exports import run_export

    run_export(form, db, out, run)


@main.group(name="list")
def list_() -> None:
    """List cases, backends or operations."""


@list_.command(name="cases")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@cases_option
@level_option(_NAMED)
def list_cases(selectors: tuple[str, ...], folders: tuple[Path, ...], level: str) -> None:
    """Print the ids of the cases that a selection means, one a line.

    \b
    convsuite list cases
    convsuite list cases dtype=bfloat16 --level full
    """  # noqa: D301
    from convsuite.casefile import selected
    from convsuite.wording import counted

    _, chosen = selected(folders, selectors, level, _needed(selectors, level))
    click.echo("\n".join(case.id for case in chosen))
    one = shlex.join(["convsuite", "show", chosen[0].id, *(w for folder in folders for w in ("--cases", str(folder)))])
    click.echo(f"{counted(len(chosen), 'case')}; see one: {one}", err=True)


@list_.command(name="backends")
def list_backends() -> None:
    """Print every registered backend and variant, what provides it, and whether its framework is installed."""
    from convsuite.backend import registered

    entries = registered().values()
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        broken, missing = entry.broken(), entry.missing()
        state = f"broken: {broken}" if broken else f"not installed: pip install {missing}" if missing else "installed"
        click.echo(f"{entry.name:<{width}}  {state:<14}  from {entry.distribution}")


@list_.command(name="operations")
def list_operations() -> None:
    """Print the operations, and the passes that each has."""
    from convsuite.operations import OPERATIONS

    for operation in OPERATIONS.values():
        click.echo(f"{operation.NAME}: {', '.join(operation.PASSES)}")


@main.command()
@click.argument("case_id", metavar="CASE")
@cases_option
@click.option("--engine", is_flag=True, help="Tell also which path our own engine takes in each pass, and why.")
def show(case_id: str, folders: tuple[Path, ...], engine: bool) -> None:
    """Show what a case means: all its parameters, its windows and padding drawn, its values where they are few.

    \b
    convsuite show conv/basic/cross_correlation
    convsuite show conv/resnet_50_v1_5/conv1 --engine     how our own engine computes it, and why so
    """  # noqa: D301
    from convsuite.show import print_case, print_engine
    from convsuite.terminal import console_for

    near = suite_of(folders, globs=(case_id,))
    suite = near if any(case.id == case_id for case in near.cases) else suite_of(folders)
    case, console = one_case(suite, case_id), console_for(sys.stdout)
    print_case(case, console, tuple(map(str, folders)))
    if engine:
        print_engine(case, console)


@main.command()
@click.argument("operations", nargs=-1, metavar="[OPERATION]...", callback=_operations)
@cases_option
@level_option("")
def coverage(operations: list[str], folders: tuple[Path, ...], level: str) -> None:
    """Print which pairs of parameter values no case of an operation touches; of every operation, unless some are named.

    \b
    convsuite coverage
    convsuite coverage conv --level full
    """  # noqa: D301
    from convsuite.coverage import describe, pairs
    from convsuite.selectors import select

    cases = select(suite_of(folders, level).cases, (), level)
    covered = [pairs(cases, operation) for operation in operations]
    click.echo("\n\n".join(map(describe, covered)))
    sys.exit(EXIT_FINDINGS if any(c.missing for c in covered) else 0)


@main.command()
@click.argument("calls", nargs=-1, metavar="[CALL]...")
@click.option("--json", "as_json", is_flag=True, help="What was found, as convsuite's own register holds it.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The tables in Markdown.")
def meaning(calls: tuple[str, ...], as_json: bool, as_markdown: bool) -> None:
    """Tell what literal calls of the frameworks mean, found by asking them.

    A CALL is part of a line of Python ('conv2d(x, w, stride', 'pad*reflect') or of a question's id, or a backend. The
    exit code is 1 if a call means something else than the register that convsuite ships says.

    \b
    convsuite meaning
    convsuite meaning conv_transpose
    convsuite meaning 'torch*padding="same"'
    convsuite meaning --json > cases/convsuite_cases/meanings.json
    """  # noqa: D301
    from convsuite.meaning.command import run_meaning

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two forms of the same: give one")
    sys.exit(run_meaning(calls, "json" if as_json else "markdown" if as_markdown else "table"))


@main.command()
def schema() -> None:
    """Print the JSON Schema of case files, for completion in editors.

    \b
    convsuite schema > case-file.schema.json
    """  # noqa: D301
    from convsuite.schema import schema_text

    click.echo(schema_text(), nl=False)


def suite_of(folders: tuple[Path, ...], level: str = "large", globs: tuple[str, ...] = ()) -> Suite:
    """Return the cases of the folders named, or of those that convsuite ships the files that globs may mean."""
    from convsuite import casefile

    return casefile.load(folders, level) if folders else casefile.builtin(level, globs)


def _needed(selectors: tuple[str, ...], level: str) -> str:
    """Return the level up to which cases must be read: a selector may name a case of any level."""
    return "large" if any("=" not in text or "/" in text for text in selectors) else level


def one_case(suite: Suite, case_id: str) -> Case:
    """Return the case of an id; an unknown one is an error with the nearest known ids."""
    from convsuite.errors import SelectorError
    from convsuite.nearest import nearest

    by_id = {case.id: case for case in suite.cases}
    if case_id in by_id:
        return by_id[case_id]
    near = nearest(case_id, by_id) or [i for i in by_id if i.startswith(case_id)][:3]
    hint = "did you mean\n  " + "\n  ".join(near) if near else "see `convsuite list cases --level full`"
    raise SelectorError(f"no case {case_id!r} among {len(by_id)}: {hint}")


if __name__ == "__main__":
    main()
