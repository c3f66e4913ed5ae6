"""The `neurobalance` command. Heavy libraries are imported inside the commands, so that --help is quick."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows import replay, upkeep
from flows.options import (
    AT_THE_TERMINAL,
    DATA,
    NO_SUCH_EXPORT,
    ExportName,
    Home,
    LabName,
    WrongUsage,
    environment_for,
    settings_for,
)

if TYPE_CHECKING:
    from schemas.settings import Settings

app = typer.Typer(
    rich_markup_mode=None,
    name="neurobalance",
    help="Lab exports in, neurotransmitter balance metrics out, and every row accounted for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
layout_app = typer.Typer(
    rich_markup_mode=None, help="Layouts: how a lab's export maps onto our columns.", no_args_is_help=True
)
app.add_typer(layout_app, name="layout")
app.add_typer(replay.app)
app.add_typer(upkeep.app)


@app.command()
def ingest(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Exports; without any, what waits in the inbox.")
    ] = None,
    lab: LabName = None,
    home: Home = DATA,
) -> None:
    """Take in exports: archive, read, validate, commit, compute, publish.

    Named files need --lab and stay where they are; files in <home>/inbox/<lab>/ are removed once they are
    committed. Quarantined rows are no error; they are counted and told by `show`.
    """
    if files and not lab:
        raise WrongUsage("which lab sent these files? Say --lab NAME", param_hint="--lab")
    if missing := [number for number, file in enumerate(files or [], 1) if not file.is_file()]:
        raise WrongUsage(f"no such file: argument {', '.join(map(str, missing))}", param_hint="FILES")
    os.environ.setdefault("NEUROBALANCE_SETTLE_SECONDS", AT_THE_TERMINAL)
    settings = settings_for(home)
    from flows import views
    from tasks.archive import archive

    exports = []
    for file in files or []:
        with file.open("rb") as source:
            exports.append(archive(settings, str(lab), source, file.name))
    views.print_run(_run_flow(settings, lab, exports if files else None))


def _run_flow(settings: Settings, lab: str | None, exports: list | None) -> dict[str, int]:
    from flows import server

    server_answers = server.beside()
    from flows.ingest import ingest as ingest_flow

    named = [f"{export.lab}/{export.sha256}" for export in exports] if exports is not None else None
    server_answers()
    return ingest_flow(home=settings.home, lab=lab, exports=named, inbox=settings.inbox)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="An export.")],
    lab: Annotated[str, typer.Option("--lab", help="Read it as an export of this lab.")] = "unnamed",
    home: Home = DATA,
) -> None:
    """Tell what would happen to a file: layout, columns, rows, reasons. Writes nothing."""
    if not file.is_file():
        raise WrongUsage("no such file", param_hint="FILE")
    settings = settings_for(home)
    from flows import views

    views.print_check(settings, lab, file)


@app.command()
def show(
    export: ExportName,
    rows: Annotated[int, typer.Option(min=0, help="How many quarantined rows to print at most.")] = 50,
    home: Home = DATA,
) -> None:
    """Show one export: its name, its receipt, and its quarantined rows with their text and reasons."""
    settings = settings_for(home)
    from flows import views

    if not views.print_export(settings, export, rows):
        raise WrongUsage(NO_SUCH_EXPORT, param_hint="HASH")


@app.command()
def status(home: Home = DATA) -> None:
    """Show the last run, exports by lab, what needs a hand, quarantine by reason, and the published months."""
    settings = settings_for(home)
    from flows.status import print_status

    print_status(settings)


@app.command()
def serve(
    cron: Annotated[
        str, typer.Option("--cron", help="When the inbox is taken in: five fields, UTC.")
    ] = "*/15 * * * *",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of Prefect's server and its pages; 0: any.")
    ] = 4200,
    home: Home = DATA,
) -> None:
    """Run schedule and worker on this machine, until it is told to stop (SIGTERM, Ctrl-C).

    Uses the server that PREFECT_API_URL names; otherwise starts one, with its database in the home.
    """
    home = environment_for(home, PREFECT_SERVER_LOGGING_LEVEL="WARNING")
    from flows.serve import serve as serve_until_stopped
    from schemas.settings import Settings

    Settings(home=home).pseudonym_key()  # what cannot start says so now, not at the first run
    serve_until_stopped(cron, port)


@app.command()
def catalogue(
    what: Annotated[Literal["analytes", "metrics", "units", "specimens", "layouts"], typer.Argument()],
    home: Home = DATA,
) -> None:
    """List what is known: analytes, metrics, units, specimens or layouts, with those of this home."""
    settings = settings_for(home)
    from flows import views

    views.print_catalogue(settings, what)


@layout_app.command("new")
def layout_new(
    file: Annotated[Path, typer.Argument(help="An export of the lab.")],
    lab: Annotated[str, typer.Option("--lab", help="The lab that the layout is for.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Where to write it; otherwise into layouts/ of the home folder."),
    ] = None,
    home: Home = DATA,
) -> None:
    """Write a commented draft of a layout from what is found in a file; nothing is overwritten."""
    if not file.is_file():
        raise WrongUsage("no such file", param_hint="FILE")
    settings = settings_for(home)
    from flows.draft import draft
    from flows.views import as_source

    name, text = draft(settings, as_source(lab, file))
    if output is not None and output.exists():
        raise WrongUsage("there is a file already; name another", param_hint="--output")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, "utf-8")
    elif not settings.store.create(f"layouts/{name}.toml", text.encode()):
        raise WrongUsage("there is such a layout already; write another file", param_hint="--output")
    where = output or settings.store.url(f"layouts/{name}.toml")
    typer.echo(f"Written: {where}\nFill the gaps, then: neurobalance check FILE --lab {shlex.quote(lab)}")


@app.command()
def demo(home: Home = DATA) -> None:
    """Take in the example exports of several labs and show what comes out."""
    os.environ.setdefault("NEUROBALANCE_SETTLE_SECONDS", AT_THE_TERMINAL)
    settings = settings_for(home, inbox=Path(__file__).parents[1] / "examples" / "inbox")
    from flows.demo import run_demo

    run_demo(settings, lambda: _run_flow(settings, None, None))


def main() -> None:
    """Run the command. Exit status: 0 all accounted for, 2 wrong usage, 1 the run could not do its work."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("NEUROBALANCE_DEBUG"):
            raise
        from flows.quiet import said_safely

        print(f"neurobalance: {said_safely('failed', error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
