"""The commands that look after what was taken in: `backfill`, `withdraw`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.options import DATA, NO_SUCH_EXPORT, ExportName, Home, LabName, WrongUsage, settings_for

if TYPE_CHECKING:
    from schemas.settings import Settings
    from tasks.choose import Choice

app = typer.Typer()


@app.command()
def backfill(
    from_month: Annotated[
        str | None, typer.Option("--from", metavar="MONTH", help="First month of results, such as 2024-01.")
    ] = None,
    to_month: Annotated[
        str | None, typer.Option("--to", metavar="MONTH", help="Last month of results, such as 2024-12.")
    ] = None,
    lab: LabName = None,
    layout: Annotated[str | None, typer.Option("--layout", help="What was read by this layout.")] = None,
    stale_catalogue: Annotated[
        bool,
        typer.Option("--stale-catalogue", help="What was read with another catalogue or layout than now."),
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="What has quarantined rows or could not be read.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the plan and write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take readings too that accept fewer rows than before.")
    ] = False,
    home: Home = DATA,
) -> None:
    """Read archived exports again with the layouts and catalogue of now: plan, read, commit, publish.

    Without options all are meant. What reads as before is left as it is, so a backfill that was stopped is
    resumed by the same command.
    """
    settings = settings_for(home)
    from tasks.choose import Choice, WrongChoice

    try:
        choice = Choice(from_month, to_month, lab, layout, stale_catalogue, quarantined, force=force)
    except WrongChoice as error:
        raise WrongUsage(str(error), param_hint="--from / --to") from None
    from flows.tell import at_terminal

    with at_terminal(dry_run):
        _run_backfill(settings, choice, dry_run)


def _run_backfill(settings: Settings, choice: Choice, dry_run: bool) -> None:
    from dataclasses import asdict

    from flows import server

    server_answers = server.beside()
    from flows.backfill import backfill as backfill_flow

    server_answers()
    backfill_flow(home=settings.home, dry_run=dry_run, **asdict(choice))


@app.command()
def withdraw(
    export: ExportName,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; it stays in the ledger and `show` tells it.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a withdrawn export in again.")] = False,
    home: Home = DATA,
) -> None:
    """Take an export back: none of its rows count any more, and what they replaced does again.

    Its bytes and rows stay as history. The same file sent again changes nothing; --undo does.
    """
    if undo == (reason is not None):
        raise WrongUsage("say why it is withdrawn, or --undo, not both", param_hint="--reason")
    settings = settings_for(home)
    from flows.views import find_export

    receipt = find_export(settings, export)
    if receipt is None:
        raise WrongUsage(NO_SUCH_EXPORT, param_hint="HASH")
    typer.echo(_taken_in_again(settings, receipt) if undo else _taken_back(settings, receipt, str(reason)))


def _taken_back(settings: Settings, receipt: dict, reason: str) -> str:
    from flows.views import name_for
    from tasks.archive import Export
    from tasks.bench import Bench
    from tasks.publish import Publisher
    from tasks.takeback import withdraw as append_withdrawal

    export = Export(receipt["lab"], receipt["export"])
    if append_withdrawal(settings, export, reason) is None:
        return f"{export.short} was withdrawn before: nothing changed."
    months = Publisher(settings, Bench.of(settings).catalogue).publish([export.lab]).get(export.lab, [])
    return (
        f"{export.short} is withdrawn: {receipt['accepted_rows']} accepted rows count no longer; "
        f"months published: {len(months)}.\nTo take it in again: "
        f"neurobalance withdraw {name_for(settings, receipt)} --undo"
    )


def _taken_in_again(settings: Settings, receipt: dict) -> str:
    from flows.backfill import run_backfill
    from flows.runner import Plainly
    from flows.stages import Run
    from schemas.result import READ
    from tasks.choose import Choice

    lab, sha256 = receipt["lab"], receipt["export"]
    if receipt["action"] == READ:
        return f"{lab}/{sha256[:12]} is not withdrawn: nothing changed."
    choice = Choice(exports=(f"{lab}/{sha256}",), force=True)
    outcome = run_backfill(Run.of(settings.home), choice, False, Plainly())
    if not outcome.chosen:
        return f"{lab}/{sha256[:12]} is no longer in the archive, so it cannot be taken in again."
    return (
        f"{lab}/{sha256[:12]} counts again: {outcome.accepted} rows accepted, "
        f"{outcome.quarantined} quarantined; months published: {outcome.months}."
    )
