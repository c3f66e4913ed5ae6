"""What is published of some months of one lab, ready to be written.

A month that is too large to be computed at once is divided by samples, and what the parts become stands in
temporary files until the month is written.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars import selectors as cs

from schemas import outputs
from schemas.catalogue import Catalogue
from schemas.store import spool_folder
from tasks import frames
from tasks.ahead import ahead
from tasks.codes import recoded
from tasks.current import current
from tasks.portions import Portion, in_months, in_several_months, moved, rows_of

Columns = tuple[outputs.Column, ...]

OF_SAMPLES = ("results", "metrics", "panels")
BY_MONTH = (*OF_SAMPLES, "quarantine")
#: in what order the rows of a file stand; those of the datasets of samples are in theirs already
_SORT = {
    "quarantine": ["reason", "export", "row", "item"],
    "exports": ["received_at", "export"],
    "catalogue": ["metric"],
}


class Unpublishable(Exception):
    """What was computed does not pass the schema of its dataset; the published files stay as they were."""


class Built:
    """The datasets of a portion by their names, until `close`, and the folder that they may stand in."""

    def __init__(self, datasets: dict[str, pl.LazyFrame], folder: Path | None = None) -> None:
        self.datasets = datasets
        # also where what was built is never used, because something else failed
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True) if folder else None

    def of(self, dataset: str, month: str) -> pl.LazyFrame:
        """The rows of one month, in the order in which they are published."""
        return self.datasets[dataset].filter(pl.col("month") == month)

    def close(self) -> None:
        """Let go of what it stands in."""
        self.datasets = {}
        if self._remove is not None:
            self._remove()


class Builder:
    """Builds portions of one lab. rows: those of the ledger that count, with `lab` and `edition`; found: the
    `extents` of the months that are built; size: of about how many rows a portion is."""

    def __init__(
        self,
        rows: pl.LazyFrame,
        found: pl.DataFrame,
        catalogue: Catalogue,
        pseudonyms: frames.Pseudonyms,
        size: int,
    ) -> None:
        self._rows, self._found = rows, found
        self._needed = rows.select(frames.NEEDED)
        several = in_several_months(found)
        self._moved = moved(self._needed, several)
        if several["rows"].sum() <= size:
            self._moved = self._moved.collect().lazy()  # few as they mostly are, they are looked for once
        self._catalogue, self._pseudonyms = catalogue, pseudonyms
        self._columns = outputs.datasets(catalogue)

    def build(self, portion: Portion) -> Built:
        """The datasets of `BY_MONTH`. Raises Unpublishable."""
        rows = rows_of(self._needed, self._moved, portion.months, self._found)
        if portion.parts == 1:
            built = Built(
                {name: frame.lazy() for name, frame in self._of_samples(rows.collect(), portion).items()}
            )
        else:
            built = self._by_parts(rows, portion)
        built.datasets["quarantine"] = self._quarantine(portion).lazy()
        return built

    def _of_samples(self, rows: pl.DataFrame, portion: Portion) -> dict[str, pl.DataFrame]:
        now = current(rows).of_months(portion.months)
        found = frames.of_samples(now, self._catalogue, self._pseudonyms)
        return {name: checked(name, self._columns[name], found.pop(name)) for name in OF_SAMPLES}

    def _by_parts(self, rows: pl.LazyFrame, portion: Portion) -> Built:
        folder = spool_folder()
        built = Built({}, folder)
        made: dict[str, list[Path]] = {name: [] for name in OF_SAMPLES}
        shared = pl.Categorical(pl.Categories(f"texts of {folder.name}"))
        try:
            for number, part in enumerate(ahead(self._parts(rows, portion))):
                for name, frame in part.items():
                    made[name].append(folder / f"{name}-{number}")
                    recoded(frame, shared).write_ipc(made[name][-1], compression="lz4")
        except BaseException:
            built.close()
            raise
        built.datasets = {name: pl.scan_ipc(paths) for name, paths in made.items()}
        return built

    def _parts(self, rows: pl.LazyFrame, portion: Portion) -> Iterator[dict[str, pl.DataFrame]]:
        """The datasets of each part in turn. All rows of a sample are in one part; to look for them in each is cheaper
        than to keep them apart."""
        for number in range(portion.parts):
            of_part = pl.col("sample_key").hash() % portion.parts == number
            yield self._of_samples(rows.filter(of_part).collect(), portion)

    def _quarantine(self, portion: Portion) -> pl.DataFrame:
        of_them = ~pl.col("accepted") & in_months(portion.months)
        refused = self._rows.filter(of_them).select(frames.OF_REFUSED).collect()
        found = frames.quarantine(self._pseudonyms.lab, refused)
        return checked("quarantine", self._columns["quarantine"], found)


def checked(dataset: str, columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the published columns, in order, once it has passed the schema of its dataset. Texts may be coded.

    Pandera's own error would quote cells, so what is raised names columns only.
    """
    from pandera.errors import SchemaError, SchemaErrors

    coded = frozenset(frame.select(cs.enum()).columns)
    ready = frame.select(
        pl.lit(None, c.dtype).alias(c.name) if c.name not in frame.columns
        else pl.col(c.name) if c.name in coded and c.dtype == pl.String
        else pl.col(c.name).cast(c.dtype)
        for c in columns
    )  # fmt: skip
    if dataset in _SORT:
        ready = ready.sort(_SORT[dataset], nulls_last=True, maintain_order=True)
    failed = False
    try:
        # which texts there are costs Pandera much to ask and is of no account
        outputs.pandera_schema(columns, coded).validate(
            ready.with_columns(cs.enum().to_physical()), lazy=True
        )
    except (SchemaErrors, SchemaError):
        failed = True
    if failed:
        wrong = [c.name for c in columns if c.required and ready[c.name].null_count()]
        raise Unpublishable(
            f"{dataset}: the schema of the dataset refuses what was computed (nulls in: {', '.join(wrong) or 'none'}); "
            "the published files stay as they were; this is a fault of the program"
        )
    return ready
