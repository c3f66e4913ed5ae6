"""What the two writings of mwTab have in common: what is known of a sample, and cells as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable, as_rows
from schemas.layout import Layout
from tasks.readers.headers import key
from tasks.readers.json_text import HALF

#: tables whose lines are metabolites and whose cells are amounts
DATA = frozenset({"MS_METABOLITE_DATA", "NMR_METABOLITE_DATA"})
#: cells of one batch, about
_BATCH = 200_000
#: what the format itself says where to find; the layout's [columns] have no say in it
_OWN = frozenset({"subject", "sample", "analyte", "value", "unit"})


def pairs(text: str, between: str, mark: str) -> dict[str, str]:
    """`NAME:VALUE | NAME:VALUE` as a dict; of a name that stands twice, only what agrees is kept."""
    out: dict[str, str] = {}
    twice = set()
    for part in text.split(between):
        name, found, value = part.partition(mark)
        name, value = name.strip(), value.strip()
        if found and name:
            if out.get(name, value) != value:
                twice.add(name)
            out[name] = value
    return {name: value for name, value in out.items() if name not in twice}


@dataclass
class Told:
    """What the file says of one sample."""

    subject: str | None
    facts: dict[str, str]
    text: str  # factors and additional data as sent


@dataclass
class Analysis:
    """What the file says of one analysis before its table."""

    facts: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)  # table -> unit
    samples: dict[str, Told] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)  # samples of which two different things are said

    def say(self, name: str, value: str) -> None:
        """A key of a section. A long text goes on in another line under the same key."""
        self.facts[name] = f"{self.facts[name]} {value}" if name in self.facts else value

    def subject(self, subject: str, sample: str, facts: dict[str, str], text: str) -> None:
        """Who a sample is from, and its factors. `-` and an empty text name nobody."""
        told = Told(subject if subject not in ("", "-") else None, facts, text)
        if self.samples.get(sample, told) != told:
            self.unclear.add(sample)
        self.samples[sample] = told

    def fallback(self, sample: str, facts: dict[str, str], text: str) -> None:
        """The factors in the table itself, where no other line names the sample."""
        self.samples.setdefault(sample, Told(None, facts, text))

    def of(self, sample: str) -> Told:
        """What is known of a sample: nothing where the file contradicts itself."""
        return Told(None, {}, "") if sample in self.unclear else self.samples.get(sample, Told(None, {}, ""))


class Batch:
    """The rows found since the last frame, as columns: a table may have millions of cells."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self.now = Analysis()
        self._unclear = 0
        self._seen = False  # whether there was any table of metabolites
        self._met: dict[str, None] = {}  # names that the file gives facts under
        self._used: set[str] = set()
        self._cells: list[
            tuple[int, str, str, str, int]
        ] = []  # row, item, analyte, value, index into _samples
        self._samples: list[dict[str, str | None]] = []
        self._index: dict[tuple[str, str], int] = {}  # (table, sample) of the analysis -> index
        self._broken: list[dict[str, object]] = []
        if layout.values.zero_is_not_detected:
            reading.notes.append("a value of 0 is read as not detected, as the layout says")

    @property
    def full(self) -> bool:
        """Whether it is time for a frame."""
        return len(self._cells) + len(self._broken) >= _BATCH

    def analysis(self, new: Analysis) -> Analysis:
        """From now on, rows are of this analysis."""
        self._unclear += len(self.now.unclear)
        self.now, self._index = new, {}
        return new

    def broken(self, row: int, raw: str, defect: str) -> None:
        """A record that cannot be cut."""
        self._broken.append({"row": row, "item": "record", "raw": raw, "defect": defect})

    def add(
        self,
        row: int,
        analyte: str,
        table: str,
        items: Sequence[str],
        samples: Sequence[str],
        values: Sequence[str],
    ) -> None:
        """The cells of one metabolite; empty ones are skipped by name."""
        self._seen = True
        empty = 0
        for item, sample, value in zip(items, samples, values, strict=True):
            if not value:
                empty += 1
                continue
            at = self._index.get((table, sample))
            if at is None:
                at = self._index[table, sample] = len(self._samples)
                self._samples.append(self._sample(table, sample))
            self._cells.append((row, item, analyte, value, at))
        self.reading.skip("empty cell", empty)

    def _sample(self, table: str, sample: str) -> dict[str, str | None]:
        """All columns that are the same for every result of a sample."""
        told = self.now.of(sample)
        facts = self.now.facts | told.facts
        self._met |= dict.fromkeys(facts)
        named = {key(name): name for name in reversed(facts)}
        out: dict[str, str | None] = dict(self.layout.constants)
        for ours, aliases in self.layout.columns.items():
            if ours in _OWN:
                continue
            found = next((named[key(alias)] for alias in aliases if key(alias) in named), None)
            if found is not None and facts[found].strip() not in ("", "-"):
                out[ours] = facts[found]
                self._used.add(found)
                self.reading.columns_used[ours] = found
        unit = self.now.units.get(table, "").strip()
        out |= {"unit": unit} if unit else {}
        out |= {"subject": told.subject} if told.subject is not None else {}
        if told.text and "comment" not in out:
            out["comment"] = told.text
        return out | {"sample": sample}

    def last(self) -> pl.DataFrame:
        """The last frame; says which facts were read and which were not, and how many samples are unclear.
        Raises Unreadable where there was no table of metabolites, and what `frame` raises."""
        if not self._seen:
            raise Unreadable("no table of metabolites in the file")
        self.reading.columns_unused = [name for name in self._met if name not in self._used]
        self.analysis(Analysis())
        if self._unclear:
            self.reading.notes.append(f"samples with two different subjects or factors: {self._unclear}")
        return self.frame()

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call. Raises Unreadable for half a character (JSON can escape one)."""
        try:
            return self._frame()
        except UnicodeEncodeError:
            pass
        raise Unreadable(HALF)

    def _frame(self) -> pl.DataFrame:
        cells = pl.DataFrame(
            self._cells,
            schema={
                "row": pl.Int64,
                "item": pl.String,
                "analyte": pl.String,
                "value": pl.String,
                "_at": pl.Int64,
            },
            orient="row",
        )
        names = [name for name in ROWS_SCHEMA if name not in ("row", "item", "analyte", "value")]
        samples = pl.DataFrame(self._samples, schema=dict.fromkeys(names, pl.String)).with_row_index("_at")
        rows = as_rows(
            cells.join(samples.cast({"_at": pl.Int64}), on="_at", how="left", maintain_order="left")
        )
        if self._broken:
            broken = as_rows(pl.DataFrame(self._broken, schema_overrides={"row": pl.Int64}))
            rows = pl.concat([rows, broken]).sort("row", maintain_order=True)
        self._cells, self._broken = [], []
        return rows
