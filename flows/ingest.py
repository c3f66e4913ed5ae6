"""Ingestion: inbox -> archive -> read, standardise, validate -> ledger -> metrics -> outputs.

The flow receives labs and hashes, never names; tasks stand only on stages that touch the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import polars as pl
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run
from prefect.utilities.annotations import quote

from flows.quiet import StorageFailed, quiet
from schemas.settings import Settings
from tasks.discover import Export, NotArchived, Waiting, archive_inbox, archived_name, leave_inbox
from tasks.ledger import Committed, Ledger, Prepared, Staged
from tasks.prepare import Bench, prepare
from tasks.publish import Publisher

T = TypeVar("T")

#: Exports that are read and committed together: enough for a second of work or more.
EXPORTS_PER_BATCH = 500
_RECEIPTS_SHOWN = 500
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
def discover(settings: Settings, lab: str | None) -> dict[Export, list[Waiting]]:
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
    backfill with force), months (rebuilt).
    """
    settings = Settings.model_validate({k: v for k, v in {"home": home, "inbox": inbox}.items() if v})
    settings.pseudonym_key()  # a home that may not start says so before it does any work
    bench = Bench.of(settings)
    log = get_run_logger()
    # what an earlier run committed and could not publish is healed first
    healed = publish_outputs(_as_is(bench), [lab] if lab else None)
    if exports is None:
        files = discover(settings, lab)
        found = list(files)
    else:
        files, found = {}, [Export(*text.rsplit("/", 1)) for text in exports]
    fresh: dict[Export, int] = {}
    held: dict[Export, tuple[int, int]] = {}
    for name, batch in _batches(settings, found):
        prepared, staged = read_batch(_as_is(bench), name, _as_is(batch))
        done = commit_batch(settings, name, _as_is(prepared), _as_is(staged))
        fresh |= done.editions
        held |= done.held
        leave_inbox(settings, [file for export in batch for file in files.get(export, [])])
    rebuilt = publish_outputs(_as_is(bench), sorted({export.lab for export in found}) or None)
    counts = report(settings, found, fresh)
    counts["held"] = len(held)
    counts["months"] = sum(len(months) for months in (*healed.values(), *rebuilt.values()))
    log.info(
        "exports %(exports)d, new editions %(new_editions)d, accepted %(accepted)d, quarantined %(quarantined)d",
        counts,
    )
    return counts


def receipts_of(settings: Settings, exports: list[Export]) -> pl.DataFrame:
    """The newest receipts of `exports`, in their order: columns of the ledger's receipts and lab, edition."""
    wanted = pl.DataFrame({"lab": [e.lab for e in exports], "export": [e.sha256 for e in exports]},
                          schema={"lab": pl.String, "export": pl.String})  # fmt: skip
    receipts = Ledger(settings.store).open().receipts()
    return wanted.join(receipts, on=["lab", "export"], how="inner", maintain_order="left")


def report(settings: Settings, found: list[Export], fresh: dict[Export, int]) -> dict[str, int]:
    """Publish receipts and a summary as Prefect artifacts: counts, rules and hashes, never names or values."""
    receipts = receipts_of(settings, found)
    rows = []
    for said in receipts.to_dicts():
        export = Export(said["lab"], said["export"])
        reasons = "; ".join(f"{r['reason']}: {r['count']}" for r in said["reason_counts"])
        rows.append({
            "lab": said["lab"], "export": said["export"][:12], "edition": said["edition"],
            "new": "yes" if export in fresh else "no", "layout": said["layout"] or "none", "rows": said["rows"],
            "accepted": said["accepted_rows"], "quarantined": said["quarantined_rows"],
            "reasons": said["reason"] or reasons,
        })  # fmt: skip
    new = [row for row in rows if row["new"] == "yes"]
    counts = {
        "exports": len(found),
        "new_editions": len(fresh),
        "accepted": sum(row["accepted"] for row in new),
        "quarantined": sum(row["quarantined"] for row in new),
        "unreadable": sum(
            row["layout"] == "none" or (row["rows"] == 0 and bool(row["reasons"])) for row in new
        ),
    }
    if rows:
        create_table_artifact(
            key="receipts", table=rows, description="What became of each export of this run"
        )
    create_markdown_artifact(
        key="ingest-summary", markdown=_summary(counts), description="Summary of this run"
    )
    return counts


def _summary(counts: dict[str, int]) -> str:
    lines = [f"| {name.replace('_', ' ')} | {count} |" for name, count in counts.items()]
    return "\n".join(["| what | count |", "|---|---:|", *lines]) + (
        "\n\nQuarantined rows are in the ledger with their reasons. `neurobalance show HASH` tells them with their "
        "text, and how to mend them."
    )
