"""The commands that look after a home: `maintain`, `erase` and `diff`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.options import DATA, Home, LabName, WrongUsage, settings_for

if TYPE_CHECKING:
    from tasks.changes import Changes

_SHOWN = 200
app = typer.Typer()


@app.command()
def maintain(
    keep_days: Annotated[
        int, typer.Option(help="Days for which replaced files of the ledger stay for older readers.")
    ] = 7,
    home: Home = DATA,
) -> None:
    """Keep a home in shape: small files put together, what nobody needs removed. Changes no result."""
    settings = settings_for(home)
    from flows.views import console
    from tasks.upkeep import maintain as upkeep

    done = upkeep(settings, keep_days)
    console.print(
        f"{done.compacted} small files of the ledger put together into {done.made}; {done.removed} files removed "
        f"that no version names, {done.swept} half-written ones swept; checkpoint at version {done.version}."
    )
    if done.left:
        console.print(f"Labs that another process was busy with, left for the next time: {done.left}.")


@app.command()
def erase(
    subject: Annotated[
        str, typer.Argument(help="The subject's id as the lab sends it; - reads it as input.")
    ],
    lab: Annotated[str, typer.Option("--lab", help="The lab whose subject it is.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = DATA,
) -> None:
    """Remove everything of one subject from ledger, archive and outputs. It cannot be undone.

    Let other runs rest meanwhile. The id is written nowhere.
    """
    subject = (sys.stdin.readline() if subject == "-" else subject).strip()
    if not subject:
        raise WrongUsage("which subject? Give its id", param_hint="SUBJECT")
    settings = settings_for(home)
    from flows.views import console
    from tasks.bench import Bench
    from tasks.discover import waiting
    from tasks.erase import erase as erase_subject
    from tasks.erase import find, search_of
    from tasks.publish import Publisher

    bench = Bench.of(settings)
    settings.pseudonym_key()
    search = search_of(settings, lab, subject)
    found = find(settings, search)
    console.print(
        f"Found: {found.rows} rows of {found.samples} samples, {found.texts} texts of other rows that name the "
        f"subject, {len(found.exports)} exports whose bytes go from the archive (the other rows stay)."
    )
    if found and not yes and not typer.confirm("Erase? This cannot be undone."):
        console.print("Nothing was changed.")
        raise typer.Exit(1)
    # also where nothing was found: an erasure that was cut off is ended, and names are blanked
    erase_subject(settings, search)
    rebuilt = Publisher(settings, bench.catalogue).publish([lab])
    console.print(f"Erased. Months published anew: {sum(map(len, rebuilt.values()))}.")
    if count := len(waiting(settings, lab)):
        console.print(f"The inbox of the lab holds {count} files; they were not looked into.")


@app.command()
def diff(
    since: Annotated[
        str, typer.Option(help="A time (2024-03-01T08:30, UTC unless it says so) or a ledger version.")
    ],
    lab: LabName = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write all of it to FILE.csv or FILE.parquet.")
    ] = None,
    home: Home = DATA,
) -> None:
    """Tell which published metric values changed since a time, and why. Changes nothing."""
    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise WrongUsage("the file's name must end in .csv or .parquet", param_hint="--output")
    settings = settings_for(home)
    from tasks.bench import Bench
    from tasks.changes import changes, time_of
    from tasks.handout import save

    found = changes(settings, Bench.of(settings).catalogue, time_of(settings, since), lab, metric)
    if output is not None:
        save(found.frame, output)
    _print(found, output)


def _print(found: Changes, output: Path | None) -> None:
    from flows.views import console, table, text_of

    made = table("Changed values", "lab", "sample", "metric", "before", "after", "status", "cause", "exports")
    for row in found.frame.head(_SHOWN).to_dicts():
        made.add_row(
            text_of(row["lab"]), text_of(row["sample"]), row["metric"], _said(row, "before"), _said(row, "after"),
            f"{row['status_before'] or 'none'} -> {row['status_after'] or 'none'}", row["causes"], row["exports"] or "",
        )  # fmt: skip
    if len(found.frame):
        console.print(made)
    console.print(f"Metric values that changed: {len(found.frame)}.")
    if len(found.frame) > _SHOWN and output is None:
        console.print(f"The first {_SHOWN} are shown; --output FILE.csv writes all.")
    if not found.catalogue_known:
        console.print("No usable catalogue of then was kept: metrics are compared as they are defined now.")


def _said(row: dict, when: str) -> str:
    low, high = row[f"low_{when}"], row[f"high_{when}"]
    if low is None or high is None:
        return row[f"reason_{when}"] or "none"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
