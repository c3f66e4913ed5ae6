"""Ingestion: inbox -> archive -> read, standardise, validate -> ledger -> metrics -> outputs.

The flow receives labs and hashes, never names; tasks stand only on stages that touch the world.
"""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run

from flows import events
from flows.quiet import quiet
from flows.report import counts_of, new_among, publish_artifacts, receipts_of
from flows.runner import ByPrefect, task_runner
from flows.stages import RETRIES, Run, known_labs, publish, take_in
from tasks.archive import Export
from tasks.discover import Taken, archive_inbox, leave_inbox
from tasks.ledger import Ledger
from tasks.replay import with_sizes
from tasks.runs import noted
from tasks.silence import silent_labs


def _run_name() -> str:
    given = flow_run.parameters
    what = (
        f"{len(given['exports'])} named exports" if given.get("exports") else given.get("lab") or "all labs"
    )
    return f"ingest {what} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@task(name="discover", **RETRIES)
@quiet("discover")
def discover(run: Run, lab: str | None) -> Taken:
    """Archive what waits in the inbox."""
    return archive_inbox(run.settings, lab)


@flow(name="ingest", flow_run_name=_run_name, task_runner=task_runner())
@quiet("ingest")
def ingest(
    home: str | None = None,
    lab: str | None = None,
    exports: list[str] | None = None,
    inbox: str | None = None,
) -> dict[str, int]:
    """Take in what waits in the inbox, or the archived exports that are named.

    home: folder of inbox, archive, ledger and outputs (default: NEUROBALANCE_HOME, then ./data).
    lab: only this lab. exports: archived exports as `<lab>/<sha256>`; then the inbox is not looked at.
    inbox: another inbox (`<inbox>/<lab>/...`), from which nothing is removed.
    Returns counts: exports, new_editions, accepted, quarantined (rows of the new editions),
    unreadable (exports), held (exports whose new reading would accept fewer rows: they wait for a
    backfill with force), left (files in the inbox that are still being uploaded or cannot be read),
    silent (labs), months (rebuilt).
    """
    run = Run.of(home, inbox)
    with noted(run.settings) as counts:
        _ingest(run, lab, exports, counts)
    return counts


def _ingest(run: Run, lab: str | None, exports: list[str] | None, counts: dict[str, int]) -> None:
    settings, hands = run.settings, ByPrefect()
    log = get_run_logger()
    # what an earlier run committed and could not publish is healed first
    healed = publish(hands, run, [lab] if lab else known_labs(run))
    taken = discover(run, lab) if exports is None else Taken()
    found = list(taken.files) if exports is None else [Export(*text.rsplit("/", 1)) for text in exports]
    fresh: dict[Export, int] = {}
    held: dict[Export, tuple[int, int]] = {}
    for batch in take_in(hands, run, with_sizes(settings, found)):
        fresh |= batch.done.editions
        held |= batch.done.held
        leave_inbox(settings, [file for export in batch.exports for file in taken.files.get(export, [])])
    # an inbox that keeps its files shows them to every run: received is what was never in the ledger
    events.received([export for export, edition in fresh.items() if edition == 1])
    rebuilt = publish(hands, run, sorted({export.lab for export in found})) if found else {}
    for published in (healed, rebuilt):
        events.published(published)
    receipts = receipts_of(settings, found)
    new = new_among(receipts, fresh)
    events.quarantined(settings, new)
    silent = silent_labs(run.bench.labs, Ledger(settings.store).open().receipts(), datetime.now(UTC))
    events.silent(silent)
    counts |= counts_of(receipts, new, len(found))
    counts["held"] = len(held)
    counts["left"] = taken.left.total()
    counts["silent"] = len(silent)
    counts["months"] = sum(len(months) for months in (*healed.values(), *rebuilt.values()))
    publish_artifacts(receipts, new, counts)
    log.info(" ".join(f"{name}={count}" for name, count in counts.items()))
    for (name, why), number in sorted(taken.left.items()):
        log.warning("left in the inbox: lab=%s files=%d why=%s", name, number, why)
