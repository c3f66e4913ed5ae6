"""The outputs: one Parquet file per dataset, lab and month, rebuilt whole from the ledger.

Each file says in its metadata which editions it was built from and with what. A file that says
anything else than the ledger says now is stale, so a run that was killed, or overtaken by another,
is healed by the next one: there is nothing to remember and nothing to lock. A month that has been
emptied keeps a file without rows, because a missing file could not say that it is up to date.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

import polars as pl
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from schemas import outputs
from schemas.catalogue import Catalogue
from schemas.settings import Lab, Settings
from schemas.store import write
from tasks import catalogues, frames
from tasks.ahead import ahead
from tasks.build import BY_MONTH, Builder, Columns, checked
from tasks.folders import folder_name
from tasks.ledger import Ledger
from tasks.portions import extents, portions
from tasks.snapshot import Snapshot

_ROW_GROUP = 200_000


@dataclass
class Publisher:
    """Publishes one home's outputs. `written` counts the files written, by dataset."""

    settings: Settings
    catalogue: Catalogue
    written: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = self.settings.pseudonym_key()
        self._labs = self.settings.labs()  # read once: one run publishes by one set of settings
        self._datasets = outputs.datasets(self.catalogue)
        # files that this run left as they were need no second look
        self._found_fresh: set[tuple[str, str]] = set()

    def name(self, dataset: str, lab: str, month: str) -> str:
        """Where a file of a dataset stands in the home."""
        return f"outputs/{dataset}/{folder_name(lab)}/{month}.parquet"

    def publish(self, labs: list[str] | None = None) -> dict[str, list[str]]:
        """Rebuild what is stale until nothing is; lab -> the months that were rebuilt."""
        ledger = Ledger(self.settings.store)
        rebuilt: dict[str, set[str]] = defaultdict(set)
        self._found_fresh.clear()
        for lab in labs if labs is not None else ledger.open().labs():
            while True:
                # what others committed meanwhile is looked for again after every round
                snapshot = ledger.open()
                receipts = snapshot.all_receipts(lab)
                stale = self._stale_months(lab, receipts)
                stale_exports = self._stale_exports(lab, receipts)
                if not stale and not stale_exports:
                    break
                self._rebuild(snapshot, lab, stale)
                self._rebuild_exports(snapshot, lab, receipts, stale_exports)
                rebuilt[lab] |= stale.keys()
        self._publish_catalogue()
        return {lab: sorted(months) for lab, months in rebuilt.items()}

    # what is stale

    def _built_with(self, lab: str) -> str:
        """Everything but the ledger that decides what a file of this lab holds."""
        key = hmac.digest(self._key, b"which key", "sha256").hex()[:8]
        codes = self._lab(lab).ids_are_study_codes
        return f"{outputs.VERSION}/{self.catalogue.metric_hash[:16]}/{key}/{codes}"

    def _fresh(self, names: list[str], editions: str, built_with: str) -> bool:
        for name in names:
            if (name, editions) in self._found_fresh:
                continue
            said = self._said_by(name)
            if said.get(b"neurobalance.editions") != editions.encode():
                return False
            if said.get(b"neurobalance.built_with") != built_with.encode():
                return False
            self._found_fresh.add((name, editions))
        return True

    def _said_by(self, name: str) -> dict[bytes, bytes]:
        """The metadata of a published file; nothing where it is missing or torn."""
        try:
            with self.settings.store.open(name) as file:
                return pq.read_metadata(file).metadata or {}
        except FileNotFoundError:
            return {}
        except (ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the storage failed; what PyArrow says of bytes that are no Parquet has no number
            return {}

    def _stale_months(self, lab: str, receipts: pl.DataFrame) -> dict[str, str]:
        """Month -> the editions it must be built from, for the months that are not."""
        newest = receipts.group_by("export").agg(pl.col("edition").max())
        touched = receipts.select("export", pl.col("months").alias("month")).explode(
            "month", empty_as_null=True
        )
        wanted = editions_by_month(touched.drop_nulls().unique().join(newest, on="export"))
        built_with = self._built_with(lab)
        return {
            month: editions
            for month, editions in wanted.items()
            if not self._fresh([self.name(dataset, lab, month) for dataset in BY_MONTH], editions, built_with)
        }

    def _stale_exports(self, lab: str, receipts: pl.DataFrame) -> dict[str, str]:
        newest = receipts.filter(pl.col("edition") == pl.col("edition").max().over("export"))
        wanted = editions_by_month(
            newest.select("export", "edition", pl.col("received_at").dt.strftime("%Y-%m").alias("month"))
        )
        built_with = self._built_with(lab)
        return {
            month: editions
            for month, editions in wanted.items()
            if not self._fresh([self.name("exports", lab, month)], editions, built_with)
        }

    # building

    def _rebuild(self, snapshot: Snapshot, lab: str, stale: dict[str, str]) -> None:
        if not stale:
            return
        rows = snapshot.rows(lab)
        found = extents(rows, stale)
        size = self.settings.rows_per_batch
        builder = Builder(rows, found, self.catalogue, self._pseudonyms(lab), size)
        parts = portions(stale, found, size)
        # one is computed while the one before it is written: two at once take a third more memory for a twentieth of
        # the time
        for portion, built in zip(parts, ahead(map(builder.build, parts)), strict=True):
            for dataset in BY_MONTH:
                for month, editions in portion.editions.items():
                    frame = built.of(dataset, month)
                    self._write(dataset, lab, month, frame, editions, snapshot.version)
            built.close()

    def _lab(self, lab: str) -> Lab:
        return self._labs.get(lab, Lab())

    def _pseudonyms(self, lab: str) -> frames.Pseudonyms:
        return frames.Pseudonyms(lab, self._key, self._lab(lab).ids_are_study_codes)

    def _rebuild_exports(
        self, snapshot: Snapshot, lab: str, receipts: pl.DataFrame, stale: dict[str, str]
    ) -> None:
        newest = receipts.filter(pl.col("edition") == pl.col("edition").max().over("export"))
        ready = checked("exports", self._datasets["exports"], frames.exports(newest)).lazy()
        for month, editions in stale.items():
            part = ready.filter(pl.col("month") == month)
            self._write("exports", lab, month, part, editions, snapshot.version)

    # writing

    def _publish_catalogue(self) -> None:
        catalogues.keep(self.settings, self.catalogue)
        name = "outputs/catalogue/catalogue.parquet"
        built_with = f"{outputs.VERSION}/{self.catalogue.metric_hash[:16]}"
        package = "outputs/datapackage.json"
        if self.settings.store.item(package) is not None and self._fresh([name], "", built_with):
            return
        columns = self._datasets["catalogue"]
        frame = checked("catalogue", columns, frames.metric_catalogue(self.catalogue)).lazy()
        self._put(name, columns, frame, {"dataset": "catalogue", "editions": "", "built_with": built_with})
        text = json.dumps(outputs.datapackage(self._datasets), indent=2, ensure_ascii=False)
        write(self.settings.store, package, lambda fresh: fresh.write_text(text + "\n", "utf-8"))

    def _write(
        self, dataset: str, lab: str, month: str, frame: pl.LazyFrame, editions: str, version: int
    ) -> None:
        about = {"editions": editions, "built_with": self._built_with(lab), "ledger_version": str(version)}
        self._put(
            self.name(dataset, lab, month), self._datasets[dataset], frame, {"dataset": dataset} | about
        )

    def _put(self, name: str, columns: Columns, frame: pl.LazyFrame, about: dict[str, str]) -> None:
        as_parquet = partial(
            frame.sink_parquet, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP,
            metadata=outputs.file_metadata(columns, about),
        )  # fmt: skip
        write(self.settings.store, name, as_parquet)
        self.written[about["dataset"]] = self.written.get(about["dataset"], 0) + 1


def editions_by_month(frame: pl.DataFrame) -> dict[str, str]:
    """month, export, edition -> month -> a hash of the editions that the month is built from."""
    ordered = frame.sort("month", "export").select(
        "month", pl.concat_str("export", pl.lit(":"), "edition").alias("text")
    )
    return {
        month: hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
        for month, texts in ordered.group_by("month", maintain_order=True).agg("text").iter_rows()
    }
