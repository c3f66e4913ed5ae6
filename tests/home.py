"""A home without Prefect: exports go in as bytes, outputs come out as frames."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from schemas import outputs
from schemas.settings import Settings
from schemas.store import read, write
from tasks.archive import Export, archive
from tasks.bench import Bench
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

#: our column -> a header that the generic layout reads as such
HEADERS = {
    "subject": "Patient ID", "sample": "Sample ID", "specimen": "Specimen", "analyte": "Test", "value": "Result",
    "unit": "Units", "collected_at": "Collected", "reported_at": "Reported", "status": "Status", "method": "Method",
    "replicate": "Replicate", "dilution": "Dilution", "lloq": "LLOQ", "uloq": "ULOQ", "rel_sd": "RSD", "code": "LOINC",
    "site": "Site", "visit": "Visit", "timepoint": "Timepoint", "role": "Role", "run": "Run", "comment": "Comment",
}  # fmt: skip

#: one urine sample's row, of which tests say only what matters to them
PLAIN = {
    "subject": "P1", "sample": "S1", "specimen": "urine", "analyte": "dopamine", "value": "150", "unit": "nmol/L",
    "collected_at": "2024-03-01 08:30", "reported_at": "2024-03-03 12:00", "status": "final",
}  # fmt: skip


def often(short: int, full: int) -> int:
    """How often to try: `short`, or `full` where NEUROBALANCE_SOAK is set (a number multiplies `full`, to 1 at least)."""
    times = os.environ.get("NEUROBALANCE_SOAK")
    return max(1, int(full * float(times))) if times else short


def table(*rows: Mapping[str, str]) -> bytes:
    """A CSV with usual headers; what a row does not say is taken from PLAIN."""
    names = list(dict.fromkeys([*PLAIN, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([HEADERS[name] for name in names])
    writer.writerows([(PLAIN | dict(row)).get(name, "") for name in names] for row in rows)
    return text.getvalue().encode()


def without_lineage(dataset: str, frame: pl.DataFrame, catalogue) -> pl.DataFrame:
    """`frame` with the columns that are true of the sample only, in an order of its own."""
    names = [c.name for c in outputs.datasets(catalogue)[dataset] if not c.lineage]
    return frame.select(names).sort(names)


#: what was read of homes: their own files -> the bench
_BENCHES: dict[tuple[tuple[str, bytes | None], ...], Bench] = {}


@dataclass
class Home:
    """One home folder, and what can be done with it."""

    place: Path | str
    labs: str = '[north]\ntimezone = "Europe/Berlin"\n'
    options: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.settings.store.item("labs.toml") is None:
            self.put("labs.toml", self.labs)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.place, **self.options)

    @property
    def folder(self) -> Path:
        """Where a home stands that stands in a folder."""
        assert isinstance(self.place, Path), "this home stands in a bucket"
        return self.place

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def bench(self) -> Bench:
        """Catalogue, layouts and labs as they stand now; what other homes have alike is not read again."""
        store = self.settings.store
        names = [item.name for folder in ("layouts", "catalogue") for item in store.items(folder)]
        said = tuple((name, read(store, name)) for name in sorted([*names, "labs.toml"]))
        if said not in _BENCHES:
            _BENCHES[said] = Bench.of(self.settings)
        return replace(_BENCHES[said], settings=self.settings)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.store)

    def put(self, name: str, text: str) -> None:
        """Write a file of the home, such as `labs.toml` or `layouts/own.toml`."""
        write(self.settings.store, name, lambda path: path.write_text(text, "utf-8"))

    def archive(self, lab: str, content: bytes, name: str = "export.csv") -> Export:
        return archive(self.settings, lab, io.BytesIO(content), name)

    def commit(self, *exports: Export, force: bool = False) -> dict[Export, int]:
        """Read and commit archived exports of one lab as the flow does; export -> its new edition."""
        bench = self.bench
        lab = exports[0].lab
        known = dict(self.ledger.open().receipts(lab).select("export", "reading_hash").iter_rows())
        prepared, staged = prepare(bench, exports, known, force)
        return self.ledger.commit(lab, prepared, staged).editions if prepared else {}

    def publish(self) -> dict[str, int]:
        """Publish; dataset -> files written."""
        publisher = Publisher(self.settings, self.bench.catalogue)
        publisher.publish()
        return publisher.written

    def ingest(self, lab: str, *contents: bytes) -> list[Export]:
        """Archive, commit and publish contents, one after another."""
        exports = []
        for content in contents:
            exports.append(self.archive(lab, content))
            self.commit(exports[-1])
        self.publish()
        return exports

    def output(self, dataset: str) -> pl.DataFrame:
        store = self.settings.store
        names = sorted(item.name for item in store.items(f"outputs/{dataset}"))
        return pl.concat([pl.read_parquet(read(store, name) or b"") for name in names])

    def comparable(self) -> dict[str, pl.DataFrame]:
        """Every dataset without its lineage columns."""
        catalogue = self.bench.catalogue
        names = ("results", "metrics", "panels", "quarantine", "exports")
        return {name: without_lineage(name, self.output(name), catalogue) for name in names}

    def metric(self, name: str) -> pl.DataFrame:
        return self.output("metrics").filter(pl.col("metric") == name)

    def values(self, analyte: str) -> list[float]:
        """The published values of an analyte, in order."""
        return sorted(self.output("results").filter(pl.col("analyte") == analyte)["value"].to_list())

    def reasons(self) -> dict[str, int]:
        """Reasons for quarantine and how many rows have them."""
        return dict(self.output("quarantine")["reason"].value_counts().iter_rows())

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Published files: name -> what tells one writing from the next, and bytes."""
        store = self.settings.store
        return {
            item.name.removeprefix("outputs/"): (item.tag, read(store, item.name) or b"")
            for item in sorted(store.items("outputs"), key=lambda item: item.name)
        }


def same(one: Mapping[str, pl.DataFrame], other: Mapping[str, pl.DataFrame]) -> Iterable[str]:
    """The names of the datasets that differ."""
    return [name for name in one if not one[name].equals(other[name])]
