"""Schedule and worker for a single machine: `neurobalance serve`.

One process looks after two others: Prefect's server, and the worker, which is this module run as a
program.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, cast

from flows import server
from flows.server import CannotServe

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

#: when the ledger is looked after, as in deployments/prefect.yaml
_NIGHTLY = "30 2 * * *"


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
    url = server.named()
    children: list[subprocess.Popen] = []
    try:
        if not url:
            port = server.free(port)
            url = f"http://127.0.0.1:{port}/api"
            children.append(
                server.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
            )
            server.wait(children[0], url)
            server.use(url)
        children.append(server.start("flows.serve", cron))
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
            server.end(child)


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


if __name__ == "__main__":
    from prefect import serve as work

    # one of each at a time: ingestion does not wait for a backfill
    work(*deployments(sys.argv[1]), limit=3, print_starting_message=False)
