"""A bench under way: on a terminal the table of the problem whose turn it is, with its times so far, above a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convsuite import terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class View:
    """What is shown while it goes on."""

    advance: Callable[[int], None]  # by one turn; takes the number of findings so far
    show: Callable[[Callable[[], Table]], None]  # a table, which is made only where somebody looks


@contextmanager
def view(console: Console, total: int) -> Iterator[View]:
    """Show how far a bench of so many turns is; where there is no terminal, by a line now and then."""
    if not console.is_terminal:
        with terminal.progress(console, total, "turn") as advance:
            yield View(advance=advance, show=lambda make: None)
        return
    from rich.console import Group
    from rich.live import Live

    bar, advance = terminal.bar(console, total, "turn")
    with Live(bar, console=console, transient=True, refresh_per_second=4) as live:
        yield View(advance=advance, show=lambda make: live.update(Group(make(), bar)))
