"""HL7 v2.x: the OBX segments of ORU^R01, OUL and other messages, in single messages and in batches.

Segments may end with CR, LF or CRLF, and each message brings its separators (MSH-1, MSH-2). Every line of the
source is a result (one for each repetition of OBX-5) or skipped under the name of its segment; `row` is the
number of the line, `item` the repetition. A text broken over several lines is one segment with line feeds.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from schemas.export import Reading, Unreadable, is_codec
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.hl7v2_orders import Orders
from tasks.readers.table import Glance
from tasks.readers.text import head_text, open_lines, prove, read_head, shown

#: rows of one frame
_BATCH = 50_000
#: characters of one segment; documents of this size travel in OBX
_LONGEST = 1 << 26
#: a message or a batch begins: separators, then two to five of them and the first again
_START = re.compile(r"^(MSH|FHS|BHS)([^\w\s])[^\w\s]{2,5}(?:\2|\s|$)")
_SEGMENT = re.compile(r"^[A-Z][A-Z0-9]{2}(?P<mark>[^\w\s]|$)")
#: MLLP framing that was saved with the message, and indentation
_FRAME = "\x0b\x1c \t"


def glance(path: Path) -> Glance | None:
    """The head of a file that begins with MSH, or with FHS or BHS; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    text = text.lstrip("\ufeff\r\n" + _FRAME)
    if not _START.match(text):
        return None
    return Glance(text, lambda layout: [], signature=True)


def _charset(path: Path) -> str | None:
    """The codec that MSH-18 of the first message names: `8859/2`, `ISO 8859-15`, `WINDOWS-1251`."""
    found = re.search(r"MSH([^\w\s])[^\r\n]*", head_text(read_head(path), "latin-1"))
    fields = found[0].split(found[1], 18) if found else []
    said = fields[17].split("~")[0].split(found[1])[0].strip() if found and len(fields) > 17 else ""
    part = re.match(r"^(?:ISO[ -]?)?8859[/-](\d{1,2})$", said, re.IGNORECASE)
    name = f"iso8859-{part[1]}" if part else said.replace(" ", "-")
    return codecs.lookup(name).name if is_codec(name) else None


def _segments(path: Path, encoding: str, reading: Reading) -> Iterator[tuple[int, str, bool]]:
    """(number of its line, segment, whether it has a line end), and counts the lines that are none."""
    start, size, ended = 0, 0, True
    pieces: list[str] = []
    mark = "|"
    with open_lines(path, encoding) as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LONGEST), ""), start=1):
            text = line.rstrip("\r\n")
            ended = len(text) < len(line)
            stripped = text.strip(_FRAME) if text[:1] in _FRAME or text[-1:] in _FRAME else text
            if not stripped:
                reading.skip("blank line")
                continue
            opens = _START.match(stripped)
            found = _SEGMENT.match(stripped)
            if opens or (found and found["mark"] in ("", mark)) or start == 0:
                if start:
                    yield start, "\n".join(pieces), True
                start, pieces, size = number, [stripped if opens or found else text], 0
                mark = opens[2] if opens else mark
            elif not ended and len(stripped) < 3 and stripped.isalnum():
                yield start, "\n".join(pieces), True
                start, pieces = number, [stripped]  # the first letters of one more segment
            else:
                pieces.append(text)
                reading.skip("continuation line")
            size += len(text)
            if size >= _LONGEST:
                raise Unreadable(f"a segment longer than {_LONGEST} characters")
    if start:
        yield start, "\n".join(pieces), ended


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The results of all messages. Raises Unreadable, also while `batches` is used up, where the bytes are not
    in the encoding they claim, a segment or an order is larger than any lab sends, or the layout names places
    that no message has."""
    text = prove(path, layout.encoding)
    encoding, notes = text.encoding, list(text.notes)
    if layout.encoding is None and encoding in ("cp1252", "latin-1") and (said := _charset(path)):
        encoding = said
        notes[0] = f"encoding {said} (MSH-18)"
    used = {ours: ", ".join(places) for ours, places in layout.columns.items()}
    used |= {"analyte": "OBX-3", "code": "OBX-3", "value": "OBX-5", "unit": "OBX-6", "ref_low": "OBX-7"}
    reading = Reading(iter(()), {}, used, [], notes)
    orders = Orders(layout, reading, encoding)

    def batches() -> Iterator[pl.DataFrame]:
        try:
            for number, segment, ended in _segments(path, encoding, reading):
                orders.take(number, segment, ended)
                if len(orders.out) >= _BATCH:
                    yield orders.frame()
        except UnicodeError:
            orders.out = []
            broken = True
        else:
            broken = False
        if broken:  # outside the handler: its message quotes the bytes
            raise Unreadable(f"not valid {encoding}")
        orders.end()
        if orders.out:
            yield orders.frame()

    reading.batches = batches()
    return reading
