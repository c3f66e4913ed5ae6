"""The messages of an HL7 v2 export as orders: each OBX with what stands around it.

PID, ORC and OBR stand before an OBX. SPM follows the OBX of its order (ORU^R01, OUL^R24) or comes before all of
its orders (OUL^R22); which of the two, the first SPM of a message shows.
"""

from __future__ import annotations

import re

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable, as_rows
from schemas.layout import Layout
from tasks.readers.hl7v2_fields import (
    DOCUMENTS,
    SPECIMEN_CODES,
    Marks,
    Place,
    field_of,
    is_whole,
    marks_of,
    named,
    pick,
    place_of,
    unescaped,
    unit_of,
    value_of,
)  # fmt: skip

#: fields that a segment is cut into; the results and what stands around them end long before
_FIELDS = 60
#: values of one order: its rows are held back until all of it has been seen
_LARGEST_ORDER = 200_000
#: what an OBX says itself, whatever the layout
_OWN = ("analyte", "code", "value", "unit", "ref_low", "ref_high", "comment")
_CODED = {"specimen": SPECIMEN_CODES, "method": frozenset[str]()}
#: statuses of an OBX that is no result (table 0085)
_NO_RESULT = {"O": "order detail without a result", "N": "observation that was not asked for"}
#: distinct texts kept in memory
_REMEMBERED = 20_000
CUT = "cut off"


class Group:
    """The OBX of one order, and what stands around them."""

    def __init__(self) -> None:
        self.around: dict[str, list[str]] = {}  # segment -> its fields
        self.specimens: list[list[str]] = []
        self.rows: list[dict] = []  # what the OBX say themselves, with `parts`


class Orders:
    """The state while the segments of an export go by."""

    def __init__(self, layout: Layout, reading: Reading, encoding: str) -> None:
        self.layout, self.reading, self.encoding = layout, reading, encoding
        if wrong := [name for name in layout.columns if name in _OWN]:
            raise Unreadable(
                f"layout {layout.name}: {', '.join(wrong)} cannot be taken from elsewhere than its OBX"
            )
        self.places = {ours: [place_of(text) for text in texts] for ours, texts in layout.columns.items()}
        self.marks = Marks("|", "^", "~", "\\", "&")
        self.group = Group()
        self.order_comes_first = True
        self.seen_order = False
        self.orc: list[str] | None = None  # an ORC whose OBR has not come yet
        self.last: list[dict] = []  # rows of the OBX that a NTE would be about
        self.messages = 0
        self.batches_open = 0
        self.out: list[dict] = []
        self._names: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._texts: dict[tuple[str, int, str], str] = {}

    def take(self, number: int, text: str, ended: bool) -> None:
        """One segment, with the lines that continue it. `ended`: it has a line end, so it is whole."""
        name = text[:3]
        if not ended and len(text) <= 3:  # the beginning of a segment, whichever
            self._cut()
            self.reading.skip("segment that is cut off")
            return
        if name in ("MSH", "FHS", "BHS") and (marks := marks_of(text)) is not None:
            if name == "MSH":
                self._message(text.split(marks.field, _FIELDS), marks)
            else:
                self.finish()
                self.batches_open += 1
        elif name == "OBX":
            self._observation(number, text, ended)
            return
        else:
            self._other(name, text, ended)
        known = re.fullmatch("[A-Z][A-Z0-9]{2}", name)
        self.reading.skip("Z segment" if name[:1] == "Z" else f"{name} segment" if known else "no segment")

    def _message(self, parts: list[str], marks: Marks) -> None:
        self.finish()
        if marks != self.marks:
            self._names.clear()
            self._texts.clear()
        self.marks = marks
        self.group = Group()
        self.group.around["MSH"] = parts
        self.order_comes_first, self.seen_order, self.orc = True, False, None
        self.messages += 1

    def _other(self, name: str, text: str, ended: bool) -> None:
        around = self.group.around
        patient = {key: fields for key, fields in around.items() if key in ("MSH", "PID")}
        parts = text.split(self.marks.field, _FIELDS)
        if name == "NTE":
            for row in self.last:
                said = self._plain(field_of(parts, 3).replace(self.marks.repetition or "\0", "\n"))
                row["comment"] = "\n".join(part for part in (row["comment"], said) if part)
            return
        if name == "PID":
            self._begin({"MSH": around.get("MSH", []), "PID": parts}, keep_specimen=False)
        elif name == "ORC":
            if self.group.rows:
                self._begin(patient)
            self.orc = self.group.around["ORC"] = parts
        elif name == "OBR":
            self.seen_order = True
            self._begin(patient | ({"ORC": self.orc} if self.orc else {}) | {"OBR": parts})
            self.orc = None
        elif name == "SPM":
            if not self.seen_order:
                self.order_comes_first = False
            if not self.order_comes_first:
                self._begin(patient, keep_specimen=False)
            self.group.specimens.append(parts)
            if not ended and not self._is_whole(parts):
                self._cut()
        elif name in ("FTS", "BTS"):
            self._trailer(name, parts)
        if name in ("PID", "ORC", "OBR", "SPM"):
            self.last = []

    def _begin(self, around: dict[str, list[str]], keep_specimen: bool = True) -> None:
        """A new group. A specimen that came before the orders is the one of all orders that follow it."""
        specimens = self.group.specimens if keep_specimen and not self.order_comes_first else []
        self.finish()
        self.group.around, self.group.specimens = around, list(specimens)

    def _trailer(self, name: str, parts: list[str]) -> None:
        self.finish()
        self.batches_open -= 1
        said = field_of(parts, 1)
        if name == "BTS" and said.isascii() and said.isdigit() and int(said[:9]) != self.messages:
            self.reading.notes.append(
                f"the batch counts {int(said[:9])} messages, and {self.messages} are there"
            )
        if name == "BTS":
            self.messages = 0

    def _plain(self, text: str) -> str:
        return unescaped(text, self.marks, self.encoding)

    def _observation(self, number: int, text: str, ended: bool) -> None:
        marks = self.marks
        parts = text.split(marks.field, _FIELDS)
        kind, status = field_of(parts, 2), field_of(parts, 11)
        value = parts[5] if len(parts) > 5 else ""
        if kind in DOCUMENTS:
            self.last = []
            self.reading.skip("attached document")
            return
        if status in _NO_RESULT or (status == "U" and not value):
            self.last = []
            self.reading.skip(_NO_RESULT.get(status, "status change without its value"))
            return
        analyte, code, unit = self._what(field_of(parts, 3), field_of(parts, 6))
        mark = marks.repetition
        if len(self.group.rows) + value.count(mark or "\0") >= _LARGEST_ORDER:
            raise Unreadable(f"an order with more than {_LARGEST_ORDER} values")
        limits = self._plain(field_of(parts, 7)) or None
        # what a value beyond the scale cannot say itself, because NM holds a number only
        flag = field_of(parts, 8)
        beyond = flag if flag in ("<", ">") else ""
        self.last = []
        for item, one in enumerate(value.split(mark) if mark and mark in value else (value,), start=1):
            said, defect = value_of(one, kind, marks)
            said = self._plain(said)
            if beyond and said[:1].isdigit():
                said = beyond + said
            row = {
                "row": number, "item": str(item), "analyte": analyte or None, "code": code or None, "value": said,
                "unit": unit or None, "ref_low": limits, "comment": None, "defect": defect,
                "raw": text if defect else None, "parts": parts,
            }  # fmt: skip
            self.last.append(row)
        self.group.rows += self.last
        if not ended and not self._is_whole(parts):
            self._cut(text)

    def _what(self, field: str, unit: str) -> tuple[str, str, str]:
        """Name, code and unit; labs repeat them in every message."""
        key = (field, unit)
        if (found := self._names.get(key)) is None:
            if len(self._names) > _REMEMBERED:
                self._names.clear()
            analyte, code = named(field, self.marks)
            found = (self._plain(analyte), self._plain(code), self._plain(unit_of(unit, self.marks)))
            self._names[key] = found
        return found

    def _is_whole(self, parts: list[str]) -> bool:
        zoned = re.search(r"[+-]\d{4}$", field_of(self.group.around.get("MSH", []), 6))
        return is_whole(parts, self.marks, zoned is not None)

    def _cut(self, raw: str | None = None) -> None:
        """The file ends within a segment: what the order would say further is not known."""
        for row in self.group.rows:
            row["defect"] = row["defect"] or CUT
            row["raw"] = row["raw"] or self.marks.field.join(row["parts"])
        if raw is not None and self.group.rows:
            self.group.rows[-1]["raw"] = raw

    def end(self) -> None:
        """The end of the export."""
        self.finish()
        if self.batches_open > 0:
            self.reading.notes.append("the batch has no trailer: it may be cut off")

    def _around(self, place: Place, ours: str) -> str | None:
        """What the group says at a place; empty where it says nothing, or where its specimens differ."""
        if place.segment == "OBX":
            return None
        segments = self.group.specimens
        if place.segment != "SPM":
            segments = [self.group.around[place.segment]] if place.segment in self.group.around else []
        said = {self._plain(pick(place, parts, self.marks, _CODED.get(ours))) for parts in segments}
        return said.pop() if len(said) == 1 else ""

    def finish(self) -> None:
        """The rows of the group, with what stands around them."""
        rows, self.last = self.group.rows, []
        self.group.rows = []
        if not rows:
            return
        fixed = {k: v for k, v in self.layout.constants.items() if k not in ("value", *self.places)}
        inner: dict[str, list[Place | str]] = {}
        for ours, places in self.places.items():
            steps: list[Place | str] = []
            for place in places:
                text = self._around(place, ours)
                if text is None:
                    steps.append(place)
                elif text:
                    steps.append(text)
                    break
            if not steps or isinstance(steps[-1], Place):
                steps.append(self.layout.constants.get(ours, ""))
            if len(steps) == 1:
                fixed[ours] = str(steps[0])
            else:
                inner[ours] = steps
        # what an OBX may say itself is filled in where it does not; the rest is the same for all rows
        own = {ours: text for ours, text in fixed.items() if text and ours in _OWN}
        fixed = {ours: text for ours, text in fixed.items() if text and ours not in _OWN}
        for row in rows:
            parts = row.pop("parts")
            for ours, steps in inner.items():
                for step in steps:
                    text = step if isinstance(step, str) else self._inside(step, parts, ours)
                    if text:
                        row[ours] = text
                        break
            row.update(fixed)
            for ours, text in own.items():
                if row[ours] is None:
                    row[ours] = text
        self.out += rows

    def _inside(self, place: Place, parts: list[str], ours: str) -> str:
        """What an OBX says at a place; most say nothing, and most others what those before them said."""
        field = parts[place.field] if place.field < len(parts) else ""
        if not field:
            return ""
        key = (ours, place.field, field)
        if (found := self._texts.get(key)) is None:
            if len(self._texts) > _REMEMBERED:
                self._texts.clear()
            found = self._texts[key] = self._plain(pick(place, parts, self.marks, _CODED.get(ours)))
        return found

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self.out = self.out, []
        told = {name for name in ROWS_SCHEMA if name in rows[0]} | {*self.places, *self.layout.constants}
        frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in ROWS_SCHEMA if name in told},
                             schema={name: kind for name, kind in ROWS_SCHEMA.items() if name in told})  # fmt: skip
        return as_rows(frame)
