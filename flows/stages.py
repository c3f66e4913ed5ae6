"""The stages that ingestion and backfill share: read and validate, commit, publish. Nothing is written in two ways.

A stage is told the home, labs and hashes; everything else, secrets included, it takes from the settings
of the process it runs in, which may be a worker on another machine.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prefect import task

from flows.quiet import StorageFailed, quiet
from flows.runner import Hands, in_order
from schemas.settings import Settings
from tasks.archive import Export
from tasks.batches import batches
from tasks.bench import Bench
from tasks.editions import Committed, Prepared
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher
from tasks.staged import Staged


def _storage_failed(task: Any, run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), StorageFailed)


RETRIES: dict[str, Any] = {
    "retries": 3, "retry_delay_seconds": [1, 5, 20], "retry_jitter_factor": 0.5, "retry_condition_fn": _storage_failed,
    "persist_result": False,  # whatever a server is set to: results hold the names of files
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run of a flow over one home: all that its stages are told beside their exports."""

    home: str
    inbox: str | None
    #: unlike that of any other run, so that a worker that lives for long keeps nothing of an earlier one
    number: str

    @classmethod
    def of(cls, home: str | None = None, inbox: str | None = None) -> Run:
        """A new run; without a home or inbox named, those of the settings."""
        settings = _settings(home, inbox)
        settings.pseudonym_key()  # a home that may not start says so before it does any work
        run = cls(settings.home, settings.inbox, uuid.uuid4().hex)
        _bench_of(run)  # and so does a broken layout or catalogue
        return run

    @property
    def settings(self) -> Settings:
        """The settings of the process this is asked in."""
        return _settings_of(self)

    @property
    def bench(self) -> Bench:
        """Catalogue, layouts and labs, loaded once in each process."""
        return _bench_of(self)


def _settings(home: str | None, inbox: str | None) -> Settings:
    return Settings.model_validate({k: v for k, v in {"home": home, "inbox": inbox}.items() if v})


@lru_cache(maxsize=2)
def _settings_of(run: Run) -> Settings:
    return _settings(run.home, run.inbox)


@lru_cache(maxsize=2)
def _bench_of(run: Run) -> Bench:
    return Bench.of(run.settings)


@task(name="read and validate", **RETRIES)
@quiet("read and validate")
def read_batch(
    run: Run, lab: str, exports: list[Export], force: bool = False
) -> tuple[list[Prepared], list[Staged]]:
    """Read, standardise, validate and stage one batch; what the ledger holds already is left out."""
    receipts = Ledger(run.settings.store).open().receipts(lab)
    known = dict(receipts.select("export", "reading_hash").iter_rows())
    return prepare(run.bench, exports, known, force)


@task(name="commit", **RETRIES)
@quiet("commit")
def commit_batch(run: Run, lab: str, prepared: list[Prepared], staged: list[Staged]) -> Committed:
    """Append one batch to the ledger: exactly once, however often it is tried."""
    return Ledger(run.settings.store).commit(lab, prepared, staged) if prepared else Committed()


@task(name="publish", **RETRIES)
@quiet("publish")
def publish_outputs(run: Run, labs: list[str]) -> dict[str, list[str]]:
    """Rebuild the outputs of labs that are older than the ledger; lab -> months."""
    return Publisher(run.settings, run.bench.catalogue).publish(labs)


@task(name="labs", **RETRIES)
@quiet("labs")
def known_labs(run: Run) -> list[str]:
    """The labs that the ledger holds."""
    return Ledger(run.settings.store).open().labs()


@dataclass(frozen=True)
class Batch:
    """One batch that was read and committed; `prepared` are its new readings, committed or held."""

    lab: str
    exports: list[Export]
    prepared: list[Prepared]
    done: Committed


def take_in(
    hands: Hands, run: Run, exports: Iterable[tuple[Export, int]], force: bool = False
) -> Iterator[Batch]:
    """Read and commit archived exports (with their size in bytes), batch by batch and lab by lab.

    Batches are read beside one another where there are hands for it, and committed in their order, so a run
    that ends at any point leaves whole batches, and the next one goes on from there.
    """
    calls = ((run, lab, batch, force) for lab, batch in batches(exports))
    for (_, lab, batch, _), (prepared, staged) in in_order(hands, read_batch, calls):
        done = hands.now(commit_batch, run, lab, prepared, staged)
        yield Batch(lab, batch, prepared, done)


def publish(hands: Hands, run: Run, labs: Iterable[str]) -> dict[str, list[str]]:
    """Rebuild what is stale, lab beside lab where there are hands for it; lab -> months that were rebuilt."""
    calls = [(run, [lab]) for lab in labs] or [(run, [])]
    rebuilt: dict[str, list[str]] = {}
    for _, months in in_order(hands, publish_outputs, calls):
        rebuilt |= months
    return rebuilt
