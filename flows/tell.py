"""Who is told how a backfill goes on: Prefect's artifacts, and somebody at a terminal. Counts, never values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol
from uuid import UUID

import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from flows import views
from tasks.choose import EXPORTS_PER_SECOND, ROWS_PER_SECOND

RATE = (
    f"Times assume {ROWS_PER_SECOND:,} rows and {EXPORTS_PER_SECOND} exports a second; "
    "the progress bar measures."
)
FORCE = "These readings accept fewer rows than the editions that stand. To take them all the same: run again with --force."


class Teller(Protocol):
    """Is told of a backfill."""

    def planned(self, plan: pl.DataFrame) -> None:
        """What will be done, by lab: see `tasks.choose.planned`."""

    def went_on(self, stage: str, done: int, total: int) -> None:
        """How far a stage is: `looking` and `reading` count exports, `publishing` labs."""

    def ended(self, counts: dict[str, int], held: list[dict[str, Any]]) -> None:
        """What was done; `held` are the exports that wait for force."""


class Artifacts:
    """Writes it down as artifacts of the flow run."""

    def __init__(self) -> None:
        self._progress: UUID | None = None

    def planned(self, plan: pl.DataFrame) -> None:
        """A table by lab."""
        rows = plan.select(
            "lab", "exports", "anew", "rows", "months", "first", "last", pl.col("seconds").round(1)
        )
        create_table_artifact(
            key="backfill-plan", table=rows.to_dicts(), description=f"What this backfill does. {RATE}"
        )

    def went_on(self, stage: str, done: int, total: int) -> None:
        """One artifact, updated once for each batch."""
        if stage == "looking":
            return
        said = f"{stage}: {done} of {total}"
        percent = 100 * done / total
        if self._progress is None:
            made = create_progress_artifact(percent, key="backfill-progress", description=said)
            self._progress = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(self._progress, percent, description=said)

    def ended(self, counts: dict[str, int], held: list[dict[str, Any]]) -> None:
        """A summary, and a table of what is held."""
        lines = [f"| {name.replace('_', ' ')} | {count} |" for name, count in counts.items()]
        create_markdown_artifact(
            key="backfill-summary", markdown="\n".join(["| what | count |", "|---|---:|", *lines])
        )
        if held:
            create_table_artifact(key="backfill-held", table=held, description=FORCE)


class Terminal:
    """Prints it, with a progress bar where the terminal is one."""

    def __init__(self, dry_run: bool = False) -> None:
        self._dry_run = dry_run
        self._stack = ExitStack()
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None

    def planned(self, plan: pl.DataFrame) -> None:
        """The plan as a table."""
        self.close()
        if plan.is_empty():
            views.console.print("No export is meant: nothing to do.")
            return
        made = views.table("Plan", "lab", "exports", "to read anew", "rows", "months", "time, about",
                           numbers=("exports", "to read anew", "rows", "time, about"))  # fmt: skip
        for lab, exports, anew, rows, months, first, last, seconds in plan.iter_rows():
            which = f"{first} to {last} ({months})" if months > 1 else first or "none"
            made.add_row(escape(lab), str(exports), str(anew), str(rows), which, _time(seconds))
        views.console.print(made)
        if plan["anew"].sum():
            views.console.print(RATE)
        if self._dry_run:
            views.console.print("Nothing was written. Without --dry-run this is done.")

    def went_on(self, stage: str, done: int, total: int) -> None:
        """Move the bar of the stage."""
        if not views.console.is_terminal:
            return
        if self._progress is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._progress = self._stack.enter_context(
                Progress(*columns, console=views.console, transient=True)
            )
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage)
        self._progress.update(self._bars[stage], completed=done, total=total)

    def ended(self, counts: dict[str, int], held: list[dict[str, Any]]) -> None:
        """What changed, and what is held."""
        self.close()
        views.console.print(
            f"{counts['chosen']} exports, {counts['new_editions']} new editions: rows accepted "
            f"{counts['accepted_before']} -> {counts['accepted']}, {counts['quarantined']} quarantined; "
            f"months published: {counts['months']}."
        )
        if held:
            made = views.table("\nHeld", "lab", "export", "accepted before", "now",
                               numbers=("accepted before", "now"))  # fmt: skip
            for row in held:
                made.add_row(
                    escape(row["lab"]), row["export"], str(row["accepted_before"]), str(row["accepted"])
                )
            views.console.print(made)
            views.console.print(FORCE)

    def close(self) -> None:
        """Take the bars away."""
        self._stack.close()
        self._bars, self._progress = {}, None


def _time(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"


_LISTENING: ContextVar[tuple[Teller, ...]] = ContextVar("_LISTENING", default=())


def told_to() -> tuple[Teller, ...]:
    """Who listens to the flow beside Prefect."""
    return _LISTENING.get()


@contextmanager
def at_terminal(dry_run: bool) -> Iterator[Terminal]:
    """Let a flow that runs in this process tell the terminal too."""
    terminal = Terminal(dry_run)
    token = _LISTENING.set((terminal,))
    try:
        yield terminal
    finally:
        _LISTENING.reset(token)
        terminal.close()
