"""What the commands share: their common options, wrong usage, and the settings they run with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.settings import Settings

Home = Annotated[
    str,
    typer.Option(
        "--home",
        envvar="NEUROBALANCE_HOME",
        help="Folder, or s3://bucket/prefix, of inbox, archive, ledger and outputs.",
    ),
]
LabName = Annotated[str | None, typer.Option("--lab", help="Name of the lab.")]
ExportName = Annotated[
    str,
    typer.Argument(
        metavar="HASH",
        help="First characters (4 or more) of an export's hash; LAB/HASH where two labs sent the same bytes.",
    ),
]
NO_SUCH_EXPORT = "give at least 4 characters of the hash, so many that one export has it; LAB/HASH where two labs sent the same bytes"
DATA = "data"
#: Seconds after which a file in the inbox is at rest, for somebody who has just put it there and waits.
AT_THE_TERMINAL = "1"


class WrongUsage(typer.BadParameter):
    """Wrong usage: exit status 2."""


def environment_for(home: str, **defaults: str) -> str:
    """Let every process that is started use this home, Prefect's database in it, and call nowhere else."""
    in_bucket = home.startswith("s3://")
    if not in_bucket:
        home = str(Path(home).expanduser().absolute())
        # a bucket can hold no database: Prefect then keeps its usual place on this machine
        defaults["PREFECT_HOME"] = f"{home}/prefect"
    os.environ["NEUROBALANCE_HOME"] = home
    defaults |= {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    return home


def settings_for(home: str, inbox: Path | None = None) -> Settings:
    """Settings for this home, where the command says itself, once, what failed."""
    home = environment_for(
        home,
        PREFECT_LOGGING_LEVEL="CRITICAL",
        PREFECT_SERVER_LOGGING_LEVEL="CRITICAL",
    )
    from schemas.settings import Settings

    return Settings.model_validate({"home": home} | ({"inbox": inbox} if inbox else {}))
