"""The flow of the nightly upkeep."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.quiet import quiet
from schemas.settings import Settings
from tasks.upkeep import KEPT_DAYS
from tasks.upkeep import maintain as upkeep


@flow(name="maintain")
@quiet("maintain")
def maintain(home: str | None = None, keep_days: int = KEPT_DAYS) -> dict[str, int]:
    """Keep a home in shape: few large files, no strays, a fresh checkpoint.

    home: as for ingest. keep_days: how long replaced files of the ledger stay. Returns counts.
    """
    settings = Settings.model_validate({"home": home} if home else {})
    done = upkeep(settings, keep_days).counts
    get_run_logger().info(
        "files put together %(compacted)d into %(made)d, removed %(removed)d, swept %(swept)d, labs left for the "
        "next time %(left)d",
        done,
    )
    return done
