"""Rows of text as judged results, with an account of each export. Small exports are judged many at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl

from schemas import export
from schemas.export import MACHINES_FAULT, Unreadable, unforeseen
from schemas.layout import Layout
from schemas.result import RESULT_SCHEMA
from tasks import readers
from tasks.ahead import ahead, beside
from tasks.bench import Bench, Reading, Source
from tasks.codes import coded_frame, decoded, taken
from tasks.meanings import Context
from tasks.numbers import NumberStyle, number_style
from tasks.standardise import standardise
from tasks.validate import judge

#: Rows of small exports that are judged at a time, and stand in one file of the ledger: the many expressions cost as
#: much for a few rows, and files are to be few.
ROWS_TOGETHER = 100_000
#: So many batches are judged beside one another: much of the work on one can use one core only.
TOGETHER = 2


class NotConserved(Exception):
    """Rows were read that are neither accepted nor quarantined: a fault of this program."""


#: the machine's fault or ours, not the export's
_NOT_OF_THE_EXPORT = (*MACHINES_FAULT, NotConserved)


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

    def tell(self, found: export.Reading) -> None:
        """Take what the reader says of an export that has been read to its end."""
        self.skipped, self.notes = found.skipped, found.notes
        self.columns_used, self.columns_unused = found.columns_used, found.columns_unused


@dataclass(eq=False)
class Work:
    """An export that is read: how far it is, and its account. One that failed has a reason and no rows."""

    source: Source
    reading: Reading
    account: Account = field(default_factory=Account)
    seen: int = 0  # rows that the reader gave
    style: NumberStyle | None = None
    found: export.Reading | None = None
    error: str | None = None  # why it could not be read
    failed: bool = False

    def take(self, batch: pl.DataFrame, layout: Layout) -> None:
        """Note the rows that the reader gives. The first of them prove the decimal mark."""
        self.seen += len(batch)
        self.style = self.style or number_style(batch["value"], layout)

    def context(self, bench: Bench, layout: Layout) -> Context:
        """What its rows are standardised with, and those of all exports that are read alike."""
        timezone = bench.lab(self.source.export.lab).timezone
        return Context(self.reading.reading_hash, layout, bench.catalogue, timezone, self.style)

    def fail(self, reason: str) -> None:
        """The reason stands for the whole file: what was read before it is not kept by halves."""
        self.failed = True
        self.account = Account(self.account.layout, reason=reason)

    def prove(self) -> None:
        """Raises NotConserved where a row was read and not judged."""
        if not self.failed and self.seen != self.account.rows:
            raise NotConserved(
                f"{self.source.export.short}: {self.seen} rows were read and {self.account.rows} judged; "
                "nothing was written"
            )


@dataclass(frozen=True)
class _Together:
    """Text of exports that are read alike."""

    texts: list[tuple[Work, pl.DataFrame]]
    context: Context


@dataclass(frozen=True)
class _Failed:
    """An export that cannot be read, and why."""

    work: Work
    reason: str


def judged(bench: Bench, source: Source, reading: Reading, account: Account) -> Iterator[pl.DataFrame]:
    """The rows of one export as judged results (`RESULT_SCHEMA`), batch by batch; fills `account`.

    Raises Unreadable, at any batch, where the file turns out to be.
    """
    layout = reading.layout
    if layout is None:
        account.reason = reading.reason
        return
    account.layout = layout.name
    work = Work(source, reading, account)
    found = readers.read(source.path, layout, bench.knows)
    context: Context | None = None
    for batch in ahead(found.batches):
        work.take(batch, layout)
        context = context or work.context(bench, layout)
        out = _judge([(work, batch)], context)
        _count(out, [work])
        yield decoded(out)
    work.prove()
    account.tell(found)


def judged_together(bench: Bench, works: Iterable[Work]) -> Iterator[pl.DataFrame | Work]:
    """The rows of exports of one lab as judged results (`RESULT_SCHEMA`, texts that repeat as codes): of small exports
    that are read alike together. An export that failed is given too: of its rows, those that were given before it
    are void.

    The accounts are complete when all has been given.
    """
    for found in beside(_made_of, ahead(_put_together(bench, works)), TOGETHER):
        for one, of in found:
            if isinstance(one, _Failed):
                if not one.work.failed:
                    one.work.fail(one.reason)
                    yield one.work
                continue
            # others that are judged beside it may have shown by now that an export cannot be read
            void = [work.source.export.sha256 for work in of if work.failed]
            rows = one.filter(~pl.col("export").is_in(void)) if void else one
            _count(rows, of)
            yield rows


def _put_together(bench: Bench, works: Iterable[Work]) -> Iterator[_Together | _Failed]:
    """What there is to judge at a time, and which exports cannot be read, in the order in which that is known."""
    contexts: dict[tuple[str, NumberStyle | None], Context] = {}
    waiting: dict[tuple[str, NumberStyle | None], list[tuple[Work, pl.DataFrame]]] = {}
    rows = 0
    for work, text in _read(bench, works):
        layout = work.reading.layout
        if layout is None or work.failed:
            continue
        alike = (layout.name, work.style)
        if text is not None:
            if alike not in contexts:
                contexts[alike] = work.context(bench, layout)
            waiting.setdefault(alike, []).append((work, text))
            rows += len(text)
        elif work.error is not None:
            if alike in waiting:
                waiting[alike] = [each for each in waiting[alike] if each[0] is not work]
            yield _Failed(work, work.error)
        elif work.found is not None:
            work.account.tell(work.found)
        if rows >= ROWS_TOGETHER:
            yield from (_Together(texts, contexts[alike]) for alike, texts in waiting.items() if texts)
            waiting, rows = {}, 0
    yield from (_Together(texts, contexts[alike]) for alike, texts in waiting.items() if texts)


def _read(bench: Bench, works: Iterable[Work]) -> Iterator[tuple[Work, pl.DataFrame | None]]:
    """The text of each export in turn, batch by batch; None at its end."""
    for work in works:
        layout = work.reading.layout
        if layout is None:
            work.account.reason = work.reading.reason
            continue
        work.account.layout = layout.name
        try:
            work.found = readers.read(work.source.path, layout, bench.knows)
            for batch in work.found.batches:
                work.take(batch, layout)
                yield work, batch
        except _NOT_OF_THE_EXPORT:
            raise
        except Unreadable as error:
            work.error = str(error)
        except Exception as error:
            work.error = unforeseen(error)
        yield work, None


def _made_of(what: _Together | _Failed) -> list[tuple[pl.DataFrame | _Failed, list[Work]]]:
    """The judged rows of exports that are read alike, and whose they are. Where they cannot be judged together, each
    is on its own: a file that no one foresaw must not stop the good ones beside it."""
    if isinstance(what, _Failed):
        return [(what, [what.work])]
    works = list(dict.fromkeys(work for work, _ in what.texts))
    try:
        return [(_judge(what.texts, what.context), works)]
    except _NOT_OF_THE_EXPORT:
        raise
    except Exception as error:
        reason = unforeseen(error)
    if len(works) == 1:
        return [(_Failed(works[0], reason), works)]
    each = ([(other, text) for other, text in what.texts if other is work] for work in works)
    return [made for texts in each for made in _made_of(_Together(texts, what.context))]


def _judge(texts: list[tuple[Work, pl.DataFrame]], context: Context) -> pl.DataFrame:
    """The rows as judged results, texts that repeat as codes."""
    text = pl.concat([text for _, text in texts], rechunk=True)
    sources = pl.DataFrame(
        [(work.source.export.sha256, work.source.arrival.received_at) for work, _ in texts],
        schema={"export": pl.String, "received_at": pl.Datetime("us", "UTC")},
        orient="row",
    )
    lengths = pl.Series([len(text) for _, text in texts], dtype=pl.UInt32)
    whose = (
        pl.int_range(len(texts), dtype=pl.UInt32, eager=True).repeat_by(lengths).explode(empty_as_null=False)
    )
    text = text.hstack(taken(coded_frame(sources, "export"), whose))
    return judge(standardise(text, context)).select(list(RESULT_SCHEMA))


def _count(rows: pl.DataFrame, works: list[Work]) -> None:
    """Count judged rows in the accounts of their exports."""
    counts = rows.group_by("export").agg(pl.len(), pl.col("accepted").sum())
    refused = rows.filter(~pl.col("accepted")).select("export", "reasons")
    reasons = refused.explode("reasons", empty_as_null=True).drop_nulls().group_by("export", "reasons").len()
    accounts = {work.source.export.sha256: work.account for work in works}
    for name, read, accepted in counts.iter_rows():
        accounts[name].rows += read
        accounts[name].accepted += accepted
    for name, reason, count in reasons.iter_rows():
        accounts[name].reasons[reason] += count
