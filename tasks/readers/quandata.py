"""Waters TargetLynx, QUANDATASET as XML: samples, below them compounds, below them their peaks.

A header of the layout is an element and its attribute, `PEAK analconc`. `row` counts the COMPOUND elements of
the whole document, `item` the peaks of one. Entities, document types and external references are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError

import polars as pl
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from schemas.export import ROWS_SCHEMA, Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.blocks import BATCH
from tasks.readers.columns import RESPONSE, Columns, IsAnalyte, match
from tasks.readers.table import Glance
from tasks.readers.text import HEAD, shown

_ROOT = re.compile(r"<([A-Za-z_][\w.:-]*)")
#: elements whose attributes are told of every peak below them
_TOLD = ("QUANDATASET", "XMLFILE", "DATASET", "GROUP", "SAMPLE", "COMPOUND", "PEAK")
#: nothing in such a document is nested as deep
_DEEPEST = 64


def glance(path: Path) -> Glance | None:
    """The head of such a document; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    root = _ROOT.search(text)
    if not text.lstrip().startswith("<") or root is None or root[1] != "QUANDATASET":
        return None
    return Glance(text[:HEAD], lambda layout: [], signature=True)


def _elements(file: IO[bytes]) -> Iterator[tuple[str, Element]]:
    """The events of the document. Raises Unreadable where it is not whole, or holds what is refused."""
    reason = None
    try:
        yield from iterparse(file, events=("start", "end"), forbid_dtd=True)
    except DefusedXmlException:
        reason = "the document declares entities or a document type, which are refused"
    except ParseError:
        reason = "not well-formed XML (is the file cut off?)"
    except (LookupError, ValueError):
        reason = "the document names an encoding that cannot be read"
    if reason:  # outside the handler: the parser's message may quote the text
        raise Unreadable(reason)


class _Document:
    """The state while the elements go by, and the rows found so far."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self.told: dict[str, dict[str, str]] = {}  # element -> its attributes, on the way to the present one
        self.compounds = 0
        self.peaks: list[dict[str, str]] = []  # of the present compound
        self.rows: list[dict[str, object]] = []
        self._columns: tuple[tuple[str, ...], Columns] = ((), {})

    def start(self, element: Element) -> None:
        """An element begins: its attributes are there, its children are not."""
        if element.tag in _TOLD:
            self.told[element.tag] = dict(element.attrib)
        if element.tag == "COMPOUND":
            self.compounds += 1
            self.peaks = []
        if element.tag == "PEAK":
            self.peaks.append(dict(element.attrib))

    def end(self, element: Element) -> None:
        """An element ends."""
        if element.tag == "COMPOUND" and "SAMPLE" in self.told:
            for item, peak in enumerate(self.peaks or [{}], start=1):
                self._row(peak, str(item))
        elif element.tag == "COMPOUND":
            self.reading.skip("compound outside a sample")
        if element.tag in _TOLD and element.tag not in ("XMLFILE", "DATASET"):
            self.told.pop(element.tag, None)

    def _row(self, peak: dict[str, str], item: str) -> None:
        told = self.told | {"PEAK": peak}
        texts = {f"{tag} {name}": text for tag in _TOLD for name, text in told.get(tag, {}).items()}
        names = tuple(texts)
        if names != self._columns[0]:
            found = match(list(names), self.layout)
            if found.twice:
                raise Unreadable(f"duplicate attribute for {', '.join(found.twice)}")
            self._columns = (names, found.columns)
            for ours, at in found.columns.items():
                self.reading.columns_used[ours] = " + ".join(names[i] for i in at)
            unused = [name for i, name in enumerate(names) if i not in found.taken]
            self.reading.columns_unused = list(dict.fromkeys([*self.reading.columns_unused, *unused]))
        values = list(texts.values())
        row: dict[str, object] = dict(self.layout.constants)
        for ours, at in self._columns[1].items():
            text = " ".join(values[i] for i in at).strip() if len(at) > 1 else values[at[0]]
            if text.strip() or ours not in row:
                row[ours] = text
        if _not_calculated(peak, row.get("value")):
            area = next((peak[name] for name in self.layout.response if peak.get(name, "").strip()), None)
            row["value"] = area if area is not None else peak.get("conccalc", "")
            if area is not None:
                row["unit"] = RESPONSE
        kind = told.get("COMPOUND", {}).get("type", "")
        if "internal" in kind.casefold():
            row["role"] = kind
        self.rows.append(row | {"row": self.compounds, "item": item})

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self.rows = self.rows, []
        return pl.DataFrame(rows, schema=ROWS_SCHEMA, orient="row")


def _not_calculated(peak: dict[str, str], value: object) -> bool:
    """Whether the zero of a concentration says only that there is no calibration: `conccalc` is then NaN, or,
    in older versions, missing."""
    zero = re.fullmatch(r"[0.,]*", str(value or "").strip())
    return zero is not None and peak.get("conccalc", "NaN").strip().casefold() in ("nan", "")


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the document. Raises Unreadable (while `batches` is used up) where the XML is not whole or
    holds no compound of a sample."""
    reading = Reading(iter(()))
    document = _Document(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        found = 0
        with open(path, "rb") as file:
            above: list[Element] = []
            for event, element in _elements(file):
                if event == "start":
                    if len(above) >= _DEEPEST:
                        raise Unreadable("elements are nested too deep for such a document")
                    above.append(element)
                    document.start(element)
                    continue
                document.end(element)
                above.pop()
                element.clear()
                if above:
                    above[-1].remove(element)  # what is done with takes no memory
                if len(document.rows) >= BATCH:
                    found += len(document.rows)
                    yield document.frame()
        if not found and not document.rows:
            raise Unreadable("no compound of a sample in the document")
        if document.rows:
            yield document.frame()

    reading.batches = batches()
    return reading
