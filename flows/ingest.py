"""Ingestion: inbox -> archive -> read, standardise, validate -> ledger -> metrics -> outputs.

The flow receives labs and hashes, never names; tasks stand only on stages that touch the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run
from prefect.utilities.annotations import quote

from flows import events
from flows.quiet import StorageFailed, quiet
from flows.report import counts_of, new_among, publish_artifacts, receipts_of
from schemas.settings import Settings
from tasks.discover import Export, NotArchived, Taken, archive_inbox, archived_name, leave_inbox
from tasks.ledger import Committed, Ledger, Prepared, Staged
from tasks.prepare import Bench, prepare
from tasks.publish import Publisher
from tasks.runs import noted
from tasks.silence import silent_labs

T = TypeVar("T")

#: Exports that are read and committed together: enough for a second of work or more.
EXPORTS_PER_BATCH = 500
BYTES_PER_BATCH = 256 * 1024 * 1024


def _as_is(value: T) -> T:
    """A parameter that Prefect does not search for futures: that would cost more than the stages themselves."""
    return cast(T, quote(value))


def _storage_failed(task: Any, run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), StorageFailed)


_RETRIES: dict[str, Any] = {
    "retries": 3, "retry_delay_seconds": [1, 5, 20], "retry_jitter_factor": 0.5, "retry_condition_fn": _storage_failed,
}  # fmt: skip


def _run_name() -> str:
    given = flow_run.parameters
    what = (
        f"{len(given['exports'])} named exports" if given.get("exports") else given.get("lab") or "all labs"
    )
    return f"ingest {what} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@task(name="discover", **_RETRIES)
@quiet("discover")
def discover(settings: Settings, lab: str | None) -> Taken:
    """Archive what waits in the inbox."""
    return archive_inbox(settings, lab)


@task(name="read and validate", **_RETRIES)
@quiet("read and validate")
def read_batch(bench: Bench, lab: str, exports: list[Export]) -> tuple[list[Prepared], list[Staged]]:
    """Read, standardise, validate and stage one batch; what the ledger holds already is left out."""
    receipts = Ledger(bench.settings.store).open().receipts(lab)
    known = dict(receipts.select("export", "reading_hash").iter_rows())
    return prepare(bench, exports, known)


@task(name="commit", **_RETRIES)
@quiet("commit")
def commit_batch(settings: Settings, lab: str, prepared: list[Prepared], staged: list[Staged]) -> Committed:
    """Append one batch to the ledger: exactly once, however often it is tried."""
    return Ledger(settings.store).commit(lab, prepared, staged) if prepared else Committed()


@task(name="publish", **_RETRIES)
@quiet("publish")
def publish_outputs(bench: Bench, labs: list[str] | None) -> dict[str, list[str]]:
    """Rebuild the outputs that are older than the ledger."""
    return Publisher(bench.settings, bench.catalogue).publish(labs)


def _batches(settings: Settings, exports: list[Export]) -> Iterator[tuple[str, list[Export]]]:
    """Exports by lab, in the order given, in batches of bounded number and size."""
    by_lab: dict[str, list[Export]] = {}
    for export in exports:
        by_lab.setdefault(export.lab, []).append(export)
    for lab, mine in by_lab.items():
        batch: list[Export] = []
        size = 0
        for export in mine:
            kept = settings.store.item(archived_name(export))
            if kept is None:
                raise NotArchived(f"{export.short}: nothing of it is in the archive of this home")
            length = kept.size
            if batch and (len(batch) >= EXPORTS_PER_BATCH or size + length > BYTES_PER_BATCH):
                yield lab, batch
                batch, size = [], 0
            batch.append(export)
            size += length
        yield lab, batch


@flow(name="ingest", flow_run_name=_run_name)
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
    settings = Settings.model_validate({k: v for k, v in {"home": home, "inbox": inbox}.items() if v})
    settings.pseudonym_key()  # a home that may not start says so before it does any work
    with noted(settings) as counts:
        _ingest(settings, lab, exports, counts)
    return counts


def _ingest(settings: Settings, lab: str | None, exports: list[str] | None, counts: dict[str, int]) -> None:
    bench = Bench.of(settings)
    log = get_run_logger()
    # what an earlier run committed and could not publish is healed first
    healed = publish_outputs(_as_is(bench), [lab] if lab else None)
    taken = discover(settings, lab) if exports is None else Taken()
    found = list(taken.files) if exports is None else [Export(*text.rsplit("/", 1)) for text in exports]
    events.received(found)
    fresh: dict[Export, int] = {}
    held: dict[Export, tuple[int, int]] = {}
    for name, batch in _batches(settings, found):
        prepared, staged = read_batch(_as_is(bench), name, _as_is(batch))
        done = commit_batch(settings, name, _as_is(prepared), _as_is(staged))
        fresh |= done.editions
        held |= done.held
        leave_inbox(settings, [file for export in batch for file in taken.files.get(export, [])])
    rebuilt = publish_outputs(_as_is(bench), sorted({export.lab for export in found}) or None)
    for published in (healed, rebuilt):
        events.published(published)
    receipts = receipts_of(settings, found)
    new = new_among(receipts, fresh)
    events.quarantined(settings, new)
    silent = silent_labs(bench.labs, Ledger(settings.store).open().receipts(), datetime.now(UTC))
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
