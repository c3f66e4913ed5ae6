"""This project as it is run: `neurobalance ingest`, with Prefect's embedded server."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.contestants import ID_KEY, arguments


def main() -> None:
    """Run the command on the inbox."""
    inbox, out = arguments()
    environment = os.environ | {"NEUROBALANCE_ID_KEY": ID_KEY, "NEUROBALANCE_INBOX": str(inbox)}
    command = [sys.executable, "-m", "flows.cli", "ingest", "--home", str(out)]
    raise SystemExit(subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode)


if __name__ == "__main__":
    main()
