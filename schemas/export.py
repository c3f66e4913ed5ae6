"""What a reader hands on: rows of text exactly as sent, and what it skipped.

Every reader fills the same columns, so the stages after it never know which container a value
came from. A reader never drops, guesses or converts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

#: column of text -> what stands in it. `null` means that the export does not say.
TEXT_COLUMNS: dict[str, str] = {
    "subject": "who the specimen is from (PHI)",
    "sample": "sample id (PHI)",
    "specimen": "specimen as the export calls it",
    "site": "where the specimen was taken: brain region, voxel, CSF fraction",
    "visit": "visit of a study",
    "timepoint": "planned time within a visit: AM30, noon, strip 2",
    "replicate": "which replicate or re-injection",
    "method": "measuring method or platform",
    "collected_at": "when the specimen was collected (start of a timed collection)",
    "collected_until": "end of a timed collection",
    "acquired_at": "when the instrument measured",
    "reported_at": "when the result was reported",
    "analyte": "name of what was measured",
    "code": "LOINC or local code of what was measured",
    "value": "the value, with its comparator where it has one",
    "unit": "unit of the value and of the reference limits",
    "rel_sd": "relative standard uncertainty of the value",
    "dilution": "dilution factor",
    "lloq": "lower limit of quantification, in the unit of the value",
    "uloq": "upper limit of quantification, in the unit of the value",
    "ref_low": "lower reference limit, or the whole range as in 35-104, <7.2, >7.2",
    "ref_high": "upper reference limit",
    "status": "preliminary, final, corrected or withdrawn, as sent",
    "role": "sample, QC, calibrator, blank, internal standard or qualifier, as sent",
    "run": "batch or run of the instrument",
    "comment": "free text beside the value (PHI)",
    "raw": "the whole record as sent, only where it could not be cut into fields",
    "defect": "what is wrong with the record itself, for example `wrong number of fields`",
}

#: `row` is the 1-based position of the record in the source (a spreadsheet's row number),
#: `item` says which value of that record: `1` in a long table, the column in a wide one.
ROWS_SCHEMA: dict[str, type[pl.DataType]] = {
    "row": pl.Int64,
    "item": pl.String,
    **dict.fromkeys(TEXT_COLUMNS, pl.String),
}

#: small exports are as many as they are small: what is the same for all is made once
_NULLS = {name: pl.lit(None, dtype).alias(name) for name, dtype in ROWS_SCHEMA.items()}


class Unreadable(Exception):
    """An export that cannot be read as a whole. The message is a reason, never a cell value."""


def is_codec(name: str) -> bool:
    """Whether Python knows this encoding of text; `hex` or `zip` encode no text."""
    try:
        " ".encode(name)
    except (LookupError, ValueError):
        return False
    return True


#: What fails while an export is read, and is the machine's fault, not the export's.
MACHINES_FAULT = (OSError, MemoryError)


def unforeseen(error: Exception) -> str:
    """The reason of an export that made a reader fail in a way that no one foresaw. Its message may quote cells."""
    return f"could not be read: {type(error).__name__}"


@dataclass
class Reading:
    """One reading of one export.

    `batches` gives frames of `ROWS_SCHEMA`, in the order of the source, of at most a few hundred
    thousand rows each. `skipped` (name -> count of source records or cells) and `notes` are
    complete only when `batches` has been used up.
    """

    batches: Iterator[pl.DataFrame]
    skipped: dict[str, int] = field(default_factory=dict)
    columns_used: dict[str, str] = field(default_factory=dict)  # our column -> their header
    columns_unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # encoding, delimiter, decimal mark found
    disagreeing: int = 0  # values that differ from the second value by which the layout checks them

    def skip(self, name: str, count: int = 1) -> None:
        """Count `count` source records or cells as skipped under `name`."""
        if count:
            self.skipped[name] = self.skipped.get(name, 0) + count


def as_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with all columns of `ROWS_SCHEMA`, in order; those it lacks are null."""
    told = frame.schema
    return frame.select(
        (name if told[name] == dtype else pl.col(name).cast(dtype)) if name in told else _NULLS[name]
        for name, dtype in ROWS_SCHEMA.items()
    )
