"""From archived bytes to staged rows: choose the layout, read, standardise, judge, account."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from schemas.catalogue import Catalogue, load_catalogue
from schemas.export import Unreadable
from schemas.layout import Layout, load_layouts
from schemas.result import READ, RESULT_SCHEMA
from schemas.settings import Lab, Settings
from schemas.store import local_folder
from tasks import readers
from tasks.ahead import ahead
from tasks.discover import Arrival, Export, archived_name, arrival
from tasks.ledger import Ledger, Prepared, Staged
from tasks.standardise import VERSION, Context, standardise
from tasks.validate import judge

#: Staged files hold at least this many rows, so that thousands of small exports make few files.
ROWS_PER_FILE = 250_000


class NotConserved(Exception):
    """Rows were read that are neither accepted nor quarantined: a fault of this program."""


@dataclass
class Reading:
    """How one export is read: the choice that the reading hash stands for."""

    layout: Layout | None
    reason: str | None
    reading_hash: str
    considered: list[tuple[str, bool, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """An export, where its bytes stand, and how it arrived."""

    export: Export
    path: Path
    arrival: Arrival


@dataclass
class Bench:
    """What every export of a run is read with."""

    settings: Settings
    catalogue: Catalogue
    layouts: dict[str, Layout]
    labs: dict[str, Lab]

    @classmethod
    def of(cls, settings: Settings) -> Bench:
        """Catalogue, layouts and labs as they stand now. Errors name the file and the mend."""
        with (
            local_folder(settings.store, "layouts", ".toml") as own_layouts,
            local_folder(settings.store, "catalogue", ".csv") as own_catalogue,
        ):
            catalogue = load_catalogue(own_catalogue if own_catalogue.is_dir() else None)
            layouts = load_layouts(own_layouts, problems=catalogue.problems_of)
        return cls(settings, catalogue, layouts, settings.labs())

    def lab(self, name: str) -> Lab:
        """What labs.toml says about the lab."""
        return self.labs.get(name, Lab())

    @contextmanager
    def source(self, export: Export) -> Iterator[Source]:
        """An archived export as a source of rows, for as long as the context lasts. Raises NotArchived."""
        noted = arrival(self.settings, export)
        with self.settings.store.local(archived_name(export)) as path:
            yield Source(export, path, noted)

    def reading_of(self, source: Source) -> Reading:
        """Choose the layout from the head of the bytes."""
        lab = self.lab(source.export.lab)
        choice = readers.choose(source.path, self.layouts, source.export.lab, lab.layouts, self.knows)
        if choice.layout is None:
            # a file that nobody reads is tried again when there is another layout, not before
            said = "".join(layout.digest for _, layout in sorted(self.layouts.items())) + repr(lab.layouts)
        else:
            said = choice.layout.digest + (lab.timezone or "")
        text = f"{said}|{self.catalogue.reading_hash}|{VERSION}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Reading(choice.layout, choice.reason, digest, choice.considered)

    def knows(self, text: str) -> bool:
        """Whether a header names an analyte or a metric (ambiguous ones count: they are refused by name later)."""
        layout = self.layouts["generic"]
        problem = self.catalogue.resolve_analyte(text, None, layout).problem
        return problem is None or problem.startswith("ambiguous")


@dataclass
class Account:
    """What became of one export: everything a receipt says about rows."""

    layout: str | None = None
    reason: str | None = None
    rows: int = 0
    accepted: int = 0
    reasons: Counter = field(default_factory=Counter)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    columns_used: dict[str, str] = field(default_factory=dict)
    columns_unused: list[str] = field(default_factory=list)

    @property
    def quarantined(self) -> int:
        """Rows that are in the ledger with their reasons, and in no result."""
        return self.rows - self.accepted


def judged(bench: Bench, source: Source, reading: Reading, account: Account) -> Iterator[pl.DataFrame]:
    """The rows of an export as judged results (`RESULT_SCHEMA`), batch by batch; fills `account`.

    A file that turns out to be unreadable ends with a reason in the account; rows read before
    that are not given, so an export is in the ledger as a whole or by its reason.
    """
    account.layout = reading.layout.name if reading.layout else None
    if reading.layout is None:
        account.reason = reading.reason
        return
    export = source.export
    context = Context(
        export.sha256, source.arrival.received_at, reading.reading_hash, reading.layout, bench.catalogue,
        bench.lab(export.lab).timezone,
    )  # fmt: skip
    found = readers.read(source.path, reading.layout, bench.knows)
    seen = 0
    for batch in ahead(found.batches):
        out = judge(standardise(batch, context)).select(list(RESULT_SCHEMA))
        seen += len(batch)
        account.rows += len(out)
        account.accepted += int(out["accepted"].sum())
        counts = out["reasons"].explode(empty_as_null=True).drop_nulls().value_counts()
        account.reasons.update(dict(counts.iter_rows()))
        yield out
    if seen != account.rows:
        raise NotConserved(
            f"{export.short}: {seen} rows were read and {account.rows} judged; nothing was written"
        )
    account.skipped, account.notes = found.skipped, found.notes
    account.columns_used, account.columns_unused = found.columns_used, found.columns_unused


def receipt_of(source: Source, reading: Reading, account: Account, catalogue: Catalogue) -> dict:
    """What the ledger's receipt says of an export, but for what the commit adds."""
    noted, layout = source.arrival, reading.layout
    return {
        "action": READ,
        "series": layout.name if layout is not None and layout.snapshot else None,
        "reading_catalogue": catalogue.reading_hash,
        "layout_digest": layout.digest if layout is not None else None,
        "name": noted.name,
        "size": noted.size,
        "received_at": noted.received_at,
        "layout": account.layout,
        "rows": account.rows,
        "accepted_rows": account.accepted,
        "quarantined_rows": account.quarantined,
        "reason": account.reason,
        "reason_counts": [{"reason": name, "count": n} for name, n in sorted(account.reasons.items())],
        "skipped": [{"name": name, "count": n} for name, n in sorted(account.skipped.items())],
        "notes": account.notes,
    }


def prepare(
    bench: Bench, exports: Iterable[Export], known: dict[str, str], force: bool = False
) -> tuple[list[Prepared], list[Staged]]:
    """Read and stage exports of one lab that the ledger does not yet hold as they read now.

    known: export -> reading hash of its newest edition. force: also what the commit would hold back. Small exports share a staged file.
    """
    ledger = Ledger(bench.settings.store)
    ledger.open()
    prepared: list[Prepared] = []
    staged: list[Staged] = []
    waiting: list[pl.DataFrame] = []
    for export in dict.fromkeys(exports):
        with bench.source(export) as source:
            reading = bench.reading_of(source)
            if known.get(export.sha256) == reading.reading_hash:
                continue
            account = Account()
            own: list[Staged] = []
            try:
                for frame in ahead(judged(bench, source, reading, account)):
                    waiting.append(frame)
                    if sum(map(len, waiting)) >= ROWS_PER_FILE:
                        own.append(ledger.stage(pl.concat(waiting)))
                        waiting = []
            except (OSError, MemoryError, NotConserved):
                raise  # the machine's fault or ours, not the export's
            except Exception as error:
                # the reason stands for the whole file: rows read before it are not kept by halves; and a
                # file that no one foresaw must not stop the good ones beside it
                reason = (
                    str(error)
                    if isinstance(error, Unreadable)
                    else f"could not be read: {type(error).__name__}"
                )
                own, waiting = _without(ledger, own, waiting, export)
                account = Account(account.layout, reason=reason, notes=account.notes)
            staged += own
            receipt = receipt_of(source, reading, account, bench.catalogue)
            prepared.append(Prepared(export, reading.reading_hash, receipt, force))
    waiting = [frame for frame in waiting if len(frame)]
    if waiting:
        staged.append(ledger.stage(pl.concat(waiting)))
    return prepared, staged


def _without(
    ledger: Ledger, own: list[Staged], waiting: list[pl.DataFrame], export: Export
) -> tuple[list[Staged], list[pl.DataFrame]]:
    """Staged files and frames without the rows of one export."""
    kept = []
    for file in own:
        if file.exports == {export.sha256}:
            ledger.discard([file])
            continue
        rows = ledger.staged_rows(file).filter(pl.col("export") != export.sha256)
        kept.append(ledger.stage(rows))
        ledger.discard([file])
    return kept, [frame.filter(pl.col("export") != export.sha256) for frame in waiting]
