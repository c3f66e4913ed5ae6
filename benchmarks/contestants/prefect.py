"""This project as it is run: `neurobalance ingest`, with Prefect's embedded server."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.contestants import ID_KEY, Stages, arguments


def main() -> None:
    """Run the command on an empty inbox, where Prefect makes its database, and then on the inbox."""
    inbox, out = arguments()
    empty = out / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "flows.cli", "ingest", "--home", str(out)]
    stages = Stages()
    for stage, place in (("first run of a home", empty), ("ingest", inbox)):
        environment = os.environ | {"NEUROBALANCE_ID_KEY": ID_KEY, "NEUROBALANCE_INBOX": str(place)}
        with stages.stage(stage):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    stages.report()


if __name__ == "__main__":
    main()
