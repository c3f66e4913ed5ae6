"""Schedule and worker for a single machine: `neurobalance serve`.

One process looks after two others: Prefect's server, and the worker, which is this module run as a
program. Prefect must be told where its server is before it is imported, so it is imported late.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

#: Seconds that a server may take to start, and to stop before it is ended by force.
_TO_START = 180
_TO_STOP = 20
_PR_SET_PDEATHSIG = 1
#: when the ledger is looked after, as in deployments/prefect.yaml
_NIGHTLY = "30 2 * * *"


class CannotServe(Exception):
    """The schedule cannot be served. The message says why, and what to do."""


def deployments(cron: str) -> list[RunnerDeployment]:
    """What is served: every flow with its schedule, each one run at a time."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import EntrypointType
    from prefect.schedules import Cron

    from flows.backfill import backfill
    from flows.ingest import ingest
    from flows.maintain import maintain

    one_at_a_time = ConcurrencyLimitConfig(
        limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=60
    )
    common: dict[str, Any] = {
        "tags": ["neurobalance"],
        "concurrency_limit": one_at_a_time,
        "entrypoint_type": EntrypointType.MODULE_PATH,
    }
    inbox = ingest.to_deployment(
        "inbox", schedule=Cron(cron, timezone="UTC"), description="Take in what waits in the inbox.", **common
    )
    by_hand = backfill.to_deployment("by-hand", description="Read archived exports again.", **common)
    nightly = maintain.to_deployment(
        "nightly",
        schedule=Cron(_NIGHTLY, timezone="UTC"),
        description="Keep the ledger in few files.",
        **common,
    )
    return cast("list[RunnerDeployment]", [inbox, by_hand, nightly])


def serve(cron: str, port: int) -> None:
    """Run the schedule until SIGTERM or SIGINT; starts a server where PREFECT_API_URL names none.

    cron: when `ingest` runs (UTC). port: of the server that is started; 0 takes a free one. Server and
    worker are processes of their own, ended in the order worker, server, by force where they do not listen.
    Raises CannotServe, for a wrong `cron` before anything is started.
    """
    _refuse_nonsense(cron)
    signal.signal(signal.SIGTERM, _interrupt)
    url = os.environ.get("PREFECT_API_URL")
    children: list[subprocess.Popen] = []
    try:
        if not url:
            port = _free(port)
            url = f"http://127.0.0.1:{port}/api"
            children.append(_start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)))
            _wait(children[0], url)
            os.environ["PREFECT_API_URL"] = url
        children.append(_start("flows.serve", cron))
        print(f"Serving {cron!r} (UTC); runs, receipts and events: {url.removesuffix('/api')}", flush=True)
        while all(child.poll() is None for child in children):
            time.sleep(0.2)
        raise CannotServe(
            "the Prefect server or the worker ended by itself; start again, what was cut off is mended"
        )
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # being told once is enough
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for child in reversed(children):
            _end(child)


def _refuse_nonsense(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError:
        raise CannotServe(
            f"--cron {cron!r} is no schedule; give five fields, such as '*/15 * * * *'"
        ) from None


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _start(module: str, *arguments: str) -> subprocess.Popen:
    """A child in a session of its own: an interrupt at the terminal reaches this process only."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        start_new_session=True,
        preexec_fn=_end_with_parent,
        stdout=subprocess.DEVNULL,
    )


def _end(child: subprocess.Popen) -> None:
    """End a child and what it started: asked first, so that a run can say that it was ended."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    until = time.monotonic() + _TO_STOP
    with suppress(ProcessLookupError):  # raised once nothing of the group is left
        while time.monotonic() < until:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _end_with_parent() -> None:
    """Even where the parent is killed outright, its children do not stay behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CannotServe(
                f"port {port} is taken: name another with --port, or set PREFECT_API_URL if a Prefect server runs there"
            ) from None
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen, url: str) -> None:
    until = time.monotonic() + _TO_START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise CannotServe(
                f"the Prefect server ended with exit status {process.returncode} while it started"
            )
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise CannotServe(f"the Prefect server did not start within {_TO_START} seconds")


if __name__ == "__main__":
    from prefect import serve as work

    # one of each at a time: ingestion does not wait for a backfill
    work(*deployments(sys.argv[1]), limit=3, print_starting_message=False)
