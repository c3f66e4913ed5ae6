"""Backfill: archived exports -> read again with the layouts and catalogue of now -> ledger -> outputs.

A reading that differs is appended as a new edition; nothing is rewritten. What is read as before is left
out, so a run that was stopped is resumed by the same call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import polars as pl
from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run

from flows.quiet import quiet
from flows.runner import ByPrefect, Hands, in_order, task_runner
from flows.stages import RETRIES, Run, publish_outputs, take_in
from flows.tell import Artifacts, Teller, told_to
from tasks import replay
from tasks.archive import Export
from tasks.batches import batches
from tasks.choose import Choice, planned


@task(name="choose", **RETRIES)
@quiet("choose")
def choose(run: Run, choice: Choice) -> pl.DataFrame:
    """The archived exports that are meant: `CHOSEN_SCHEMA`."""
    return replay.choose(run.bench, choice)


@task(name="look", **RETRIES)
@quiet("look")
def look(run: Run, exports: list[Export]) -> dict[Export, str]:
    """What the reading hash of each export would be now."""
    return replay.reading_hashes(run.bench, exports)


@dataclass
class Outcome:
    """What a backfill did."""

    chosen: int = 0
    anew: int = 0
    new_editions: int = 0
    #: rows of the new editions, and of the editions before them
    accepted: int = 0
    accepted_before: int = 0
    quarantined: int = 0
    months: int = 0
    #: readings that would accept fewer rows: lab, export (first 12 characters), accepted_before, accepted
    held: list[dict[str, Any]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers alone."""
        said = asdict(self)
        return {name: said[name] for name in said if name != "held"} | {"held": len(self.held)}


def run_backfill(
    run: Run, choice: Choice, dry_run: bool, hands: Hands, tellers: Iterable[Teller] = ()
) -> Outcome:
    """Plan and, unless it is a dry run, read again, commit, and publish each lab after its commits."""
    tellers = list(tellers)
    exports = hands.now(choose, run, choice)
    anew = _anew(hands, run, exports, tellers)
    keys = {(export.lab, export.sha256) for export, _ in anew}
    for teller in tellers:
        teller.planned(planned(exports, keys))
    outcome = Outcome(chosen=len(exports), anew=len(anew))
    if dry_run:
        return outcome
    before = {
        Export(*key): rows for *key, rows in exports.select("lab", "export", "accepted_rows").iter_rows()
    }
    publishing = {}
    done = 0
    for lab, group in groupby(take_in(hands, run, anew, choice.force), key=lambda batch: batch.lab):
        for batch in group:
            for reading in batch.prepared:
                if reading.export in batch.done.editions:
                    outcome.new_editions += 1
                    outcome.accepted += reading.receipt["accepted_rows"]
                    outcome.quarantined += reading.receipt["quarantined_rows"]
                    outcome.accepted_before += before[reading.export] or 0
            outcome.held += [
                {"lab": e.lab, "export": e.sha256[:12], "accepted_before": was, "accepted": now}
                for e, (was, now) in batch.done.held.items()
            ]
            done += len(batch.exports)
            for teller in tellers:
                teller.went_on("reading", done, len(anew))
        publishing[lab] = hands.start(publish_outputs, run, [lab])
    for lab in sorted(set(exports["lab"]) - publishing.keys()):
        # a run that was stopped between commit and publish has nothing left but this
        publishing[lab] = hands.start(publish_outputs, run, [lab])
    for number, result in enumerate(publishing.values(), 1):
        outcome.months += sum(map(len, result().values()))
        for teller in tellers:
            teller.went_on("publishing", number, len(publishing))
    for teller in tellers:
        teller.ended(outcome.counts, outcome.held)
    return outcome


def _anew(hands: Hands, run: Run, exports: pl.DataFrame, tellers: list[Teller]) -> list[tuple[Export, int]]:
    """The exports (and the size of each in bytes) whose reading would differ from their newest edition."""
    rows = list(exports.select("lab", "export", "size", "reading_hash").iter_rows())
    sizes = [(Export(lab, sha256), size) for lab, sha256, size, _ in rows]
    known = {Export(lab, sha256): reading for lab, sha256, _, reading in rows}
    now: dict[Export, str] = {}
    for _, hashes in in_order(hands, look, ((run, batch) for _, batch in batches(sizes))):
        now |= hashes
        for teller in tellers:
            teller.went_on("looking", len(now), len(known))
    return [(export, size) for export, size in sizes if now[export] != known[export]]


def _run_name() -> str:
    given = flow_run.parameters
    months = f"{given.get('from_month') or 'the first month'} to {given.get('to_month') or 'the last'}"
    return f"backfill {given.get('lab') or 'all labs'} {months} {datetime.now(UTC):%Y-%m-%d %H:%M}"


@flow(name="backfill", flow_run_name=_run_name, task_runner=task_runner())
@quiet("backfill")
def backfill(
    home: str | None = None,
    from_month: str | None = None,
    to_month: str | None = None,
    lab: str | None = None,
    layout: str | None = None,
    stale_catalogue: bool = False,
    quarantined: bool = False,
    exports: list[str] | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> dict[str, int]:
    """Read archived exports again: all that meet every condition given.

    home: where archive, ledger and outputs stand (default: NEUROBALANCE_HOME, then ./data).
    from_month, to_month: months of results as `2024-01`, both inclusive. lab, layout: by name.
    stale_catalogue: what was read with another reading catalogue or layout than now. quarantined: what has
    quarantined rows or could not be read. exports: only these, as `<lab>/<sha256>`.
    dry_run: plan only. force: also readings that accept fewer rows than before and, of `exports`, withdrawn ones.
    Returns counts: chosen, anew, new_editions (exports), accepted, quarantined, accepted_before (rows of the
    new editions, and of those before them), months (rebuilt), held (exports that wait for force).
    """
    named = None if exports is None else tuple(exports)
    choice = Choice(from_month, to_month, lab, layout, stale_catalogue, quarantined, named, force)
    outcome = run_backfill(Run.of(home), choice, dry_run, ByPrefect(), [Artifacts(), *told_to()])
    counts = outcome.counts
    get_run_logger().info(" ".join(f"{name}={count}" for name, count in counts.items()))
    return counts
