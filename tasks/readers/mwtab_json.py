"""mwTab as JSON (Metabolomics Workbench): the same sections as in the text, as objects.

    {"METABOLOMICS WORKBENCH": {...}, "SUBJECT_SAMPLE_FACTORS": [{"Subject ID", "Sample ID", "Factors"}, ...],
     "MS_METABOLITE_DATA": {"Units": "pg/ml", "Data": [{"Metabolite": "Cortisol", "sample 1": "7643.0", ...}]}}

Files written before 2021 nest the table once more (`MS_METABOLITE_DATA_START`, `DATA`, `metabolite_name`,
`local_sample_id`); a file may also hold several analyses, as a list or under names. Keys that stand twice are
kept, and numbers are kept as written. `row` counts the objects of all tables of metabolites, `item` the key
within its object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from schemas.export import Reading
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.json_text import as_text, load
from tasks.readers.mwtab_table import DATA, Analysis, Batch, pairs
from tasks.readers.table import Glance
from tasks.readers.text import shown

_FIRST = "METABOLOMICS WORKBENCH"
_BINNED = "NMR_BINNED_DATA"
#: sections as their keys are written in the text: `CO:SAMPLE_TYPE`
_PREFIX = {
    "PROJECT": "PR", "STUDY": "ST", "SUBJECT": "SU", "COLLECTION": "CO", "TREATMENT": "TR", "SAMPLEPREP": "SP",
    "CHROMATOGRAPHY": "CH", "ANALYSIS": "AN", "MS": "MS", "NMR": "NM", "NM": "NM",
}  # fmt: skip


class Pairs(list):
    """A JSON object as its (key, value) pairs: mwTab objects may have one key twice."""

    def get(self, *names: str) -> Any:
        """The first value under any of the names; None where there is none."""
        return next((value for key, value in self if key in names), None)


def glance(path: Path) -> Glance | None:
    """The head of an mwTab JSON file; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    if not text.lstrip().startswith(("{", "[")) or not re.search(rf'"{_FIRST}"\s*:\s*\{{', text):
        return None
    return Glance(text, lambda layout: [], signature=True)


def _text(value: Any) -> str:
    return as_text(value).strip()


def _leaves(value: Any) -> int:
    """How many values stand in a section, however it is nested."""
    if isinstance(value, Pairs):
        return sum(_leaves(inner) for _, inner in value)
    if isinstance(value, list):
        return sum(map(_leaves, value))
    return 1


class _Json:
    """The rows of one file, analysis after analysis."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.reading, self.batch, self.row = reading, Batch(layout, reading), 0

    def analysis(self, sections: Pairs) -> Iterator[pl.DataFrame]:
        """Frames of the tables of one analysis: what is said of the samples first, wherever it stands."""
        now = self.batch.analysis(Analysis())
        for name, section in sections:
            if name == "SUBJECT_SAMPLE_FACTORS":
                self._subjects(section, now)
            elif name not in (*DATA, _BINNED):
                self._description(name, section, now)
        for name, section in sections:
            if name in DATA:
                yield from self._table(name, section, now)
            elif name == _BINNED:
                self.reading.skip("binned spectrum value", _leaves(section))

    def _description(self, name: str, section: Any, now: Analysis) -> None:
        self.reading.skip("description value", _leaves(section))
        prefix = f"{_PREFIX[name]}:" if name in _PREFIX else ""
        for key, value in section if isinstance(section, Pairs) else ():
            if isinstance(value, str):
                now.say(key if key.startswith(prefix) else prefix + key, value.strip())

    def _subjects(self, section: Any, now: Analysis) -> None:
        listed = section.get("SUBJECT_SAMPLE_FACTORS") if isinstance(section, Pairs) else section
        for entry in listed if isinstance(listed, list) else ():
            if not isinstance(entry, Pairs):
                self.reading.skip("subject that is no object")
                continue
            self.reading.skip("subject")
            facts: dict[str, str] = {}
            texts = []
            for names, between, mark in ((("Factors", "factors"), "|", ":"), (_ADDITIONAL, ";", "=")):
                said = entry.get(*names)
                if isinstance(said, Pairs):
                    said = f" {between} ".join(f"{key}{mark}{_text(value)}" for key, value in said)
                if _text(said):
                    facts |= pairs(_text(said), between, mark)
                    texts.append(_text(said))
            subject, sample = (
                entry.get("Subject ID", "subject_type"),
                entry.get("Sample ID", "local_sample_id"),
            )
            now.subject(_text(subject), _text(sample), facts, " | ".join(texts))

    def _table(self, name: str, section: Any, now: Analysis) -> Iterator[pl.DataFrame]:
        if not isinstance(section, Pairs):
            self.reading.skip(f"{name} that is no object", _leaves(section))
            return
        for key, value in section:
            inner = value.get("DATA") if isinstance(value, Pairs) and key == f"{name}_START" else None
            if key in ("Units", f"{name}:UNITS"):
                now.units[name] = _text(value)
                self.reading.skip("unit")
            elif inner is not None:
                self.reading.skip("sample names and factors", _leaves(value) - _leaves(inner))
        for key, value in section:
            inner = value.get("DATA") if isinstance(value, Pairs) and key == f"{name}_START" else None
            if key == "Data" or inner is not None:
                records = value if inner is None else inner
                for record in records if type(records) is list else ():
                    self._record(name, record)
                    if self.batch.full:
                        yield self.batch.frame()
                if type(records) is not list:
                    self.reading.skip(f"{name} that is no list", _leaves(records))
            elif key not in ("Units", f"{name}:UNITS"):
                self.reading.skip(f"{key} value" if key in ("Metabolites", "Extended") else "description value",
                                  _leaves(value))  # fmt: skip

    def _record(self, table: str, record: Any) -> None:
        self.row += 1
        if not isinstance(record, Pairs) or not record or record[0][0] not in _NAMES:
            self.batch.broken(self.row, as_text(record), "a metabolite without its name")
            return
        cells = [(str(at), key, value) for at, (key, value) in enumerate(record[1:], start=2)]
        if any(isinstance(value, list) for _, _, value in cells):
            self.batch.broken(self.row, as_text(record), "a metabolite with a list in place of a value")
            return
        items, samples, values = ([cell[at] for cell in cells] for at in range(3))
        self.batch.add(
            self.row, _text(record[0][1]), table, items, samples, [_text(value) for value in values]
        )


_ADDITIONAL = ("Additional sample data", "additional_sample_data")
_NAMES = ("Metabolite", "metabolite_name")


def _analyses(data: Any) -> Iterator[Pairs]:
    """The analyses of a file: itself, or those it lists."""
    if isinstance(data, Pairs) and data.get(_FIRST) is not None:
        yield data
    elif isinstance(data, list):
        for entry in data:
            inner = entry[1] if isinstance(data, Pairs) else entry
            if isinstance(inner, Pairs) and inner.get(_FIRST) is not None:
                yield inner


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of all tables of metabolites. Raises Unreadable where the JSON is not whole or too large, and
    (while `batches` is used up) where it holds no table of metabolites."""
    reading = Reading(iter(()))
    data = load(path, layout.encoding, reading, Pairs)
    state = _Json(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        for analysis in _analyses(data):
            yield from state.analysis(analysis)
        yield state.batch.last()

    reading.batches = batches()
    return reading
