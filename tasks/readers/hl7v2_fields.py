"""Fields of HL7 v2 segments: separators, escapes, where a layout points, and values by their data type.

The `hl7` library cuts messages into objects at about 7,500 observations a second, takes a line feed for
text and a byte order mark for an error; so segments are cut here by their separators, and the library
stands beside the tests as the second opinion. Source of the rules: HL7 v2.5.1, chapters 2, 2A and 7.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from schemas.export import Unreadable

#: no field has more components than this; a longer one is cut here so that a hostile line stays small
_PARTS = 40
#: an explicit "delete what you have" (HL7 v2.5.1, 2.5.3): tells as little as nothing
NULL = '""'
_MARKS = re.compile(r"^(?:MSH|FHS|BHS)([^\w\s])")
_PLACE = re.compile(r"^([A-Z][A-Z0-9]{2})-([1-9]\d?)(?:\[(\w{1,8})\])?(?:\.([1-9]\d?))?(?:\.([1-9]\d?))?$")
_PLAIN = re.compile(r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$")
_NUMBER = re.compile(r"^[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?$")
_TIME = re.compile(r"^\d{8}(?:\d{4}(?:\d{2}(?:\.\d{1,4})?)?)?([+-]\d{4})?$")
#: names of coding systems (table 0396) whose codes the catalogue lists
LOINC = frozenset({"LN", "LOINC", "http://loinc.org", "2.16.840.1.113883.6.1"})
UCUM = frozenset({"UCUM", "http://unitsofmeasure.org", "2.16.840.1.113883.6.8"})
SPECIMEN_CODES = frozenset({"SCT", "SNM3", "SNOMED-CT", "HL70487", "HL70070", "0487", "0070"})
#: types of a coded value, and of one that points elsewhere or carries a document
_CODED = frozenset({"CE", "CWE", "CNE", "CF"})
DOCUMENTS = frozenset({"ED", "RP"})
NO_TEXT = "a coded value without its text"
ONE_END = "a range with one end"


@dataclass(frozen=True)
class Marks:
    """The separators of one message; an empty one is not in use."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


def marks_of(line: str) -> Marks | None:
    """The separators that a line MSH, FHS or BHS declares; None where it is no such line.

    The fifth character (truncation, v2.7) serves nobody here. Some systems double the escape character
    when they write the file; it cannot be the subcomponent's mark as well.
    """
    found = _MARKS.match(line)
    if found is None:
        return None
    field = found[1]
    said = line[4:12].split(field, 1)[0]
    if len(said) > 3 and said[2] == said[3]:
        said = said[:3] + said[4:]
    marks = [char if not (char.isalnum() or char.isspace()) else "" for char in said[:4].ljust(4)]
    if len({field, *marks}) != 5:  # two of them are the same, or one is not there
        marks = [mark if mark and mark not in (field, *marks[:at]) else "" for at, mark in enumerate(marks)]
    return Marks(field, *marks)


_LAYOUT = {"br": "\n", "ce": "\n", "sp": "\n", "fi": "", "nf": "", "in": "", "ti": "", "sk": " "}


@functools.lru_cache(maxsize=64)
def _escapes(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"{e}(?:([FSTREPHN])|X((?:[0-9A-Fa-f]{{2}})+)|\.(br|ce|sp|fi|nf|in|ti|sk)([+-]?\d{{0,2}})){e}"
    )


def unescaped(text: str, marks: Marks, encoding: str) -> str:
    r"""`x10\S\9/L` -> `x10^9/L`, `\.br\` -> a line feed; an escape that is not in the standard stays as sent."""
    if not marks.escape or marks.escape not in text:
        return text
    plain = {
        "F": marks.field, "S": marks.component, "T": marks.subcomponent, "R": marks.repetition, "E": marks.escape,
        "P": "#", "H": "", "N": "",
    }  # fmt: skip

    def one(found: re.Match[str]) -> str:
        letter, bytes_, command, count = found.groups()
        if letter:
            return plain[letter]
        if command:
            many = abs(int(count)) if command in ("sp", "sk") and count.lstrip("+-") else 1
            return _LAYOUT[command] * (many or 1)
        try:
            return bytes.fromhex(bytes_).decode("utf-8" if encoding == "utf-8-sig" else encoding)
        except (UnicodeDecodeError, ValueError):
            return found[0]

    return _escapes(marks.escape).sub(one, text)


@dataclass(frozen=True)
class Place:
    """Where a layout looks for a text: `PID-3[MR]`, `SPM-2.2`, `OBR-7`.

    The part in brackets is the identifier type (component 5) that the repetition must have. Without a
    component, the first one; of a coded field its standard code or its text (`coded`).
    """

    segment: str
    field: int
    kind: str | None
    component: int | None
    subcomponent: int | None


def place_of(text: str) -> Place:
    """Raises Unreadable where a layout names no place in a message."""
    found = _PLACE.match(text)
    if found is None:
        raise Unreadable(
            f"the layout names {text!r}, which is no place in a message such as OBR-7 or SPM-2.2"
        )
    segment, field, kind, component, subcomponent = found.groups()
    return Place(
        segment,
        int(field) - (segment == "MSH"),  # MSH-1 is the separator itself
        kind,
        int(component) if component else None,
        int(subcomponent) if subcomponent else None,
    )


def split(text: str, mark: str) -> list[str]:
    """`text` at `mark`; one piece where the mark is not in use."""
    return text.split(mark, _PARTS) if mark else [text]


def field_of(parts: list[str], index: int) -> str:
    """A field as sent; empty where it is not there or says `""`."""
    text = parts[index] if index < len(parts) else ""
    return "" if text == NULL else text


def coded(field: str, marks: Marks, standard: frozenset[str]) -> str:
    """What a coded field says: the code of a coding system in `standard`, else its text, else its code."""
    parts = split(split(field, marks.repetition)[0], marks.component)
    if marks.subcomponent and marks.subcomponent in parts[0] and len(split(parts[0], marks.subcomponent)) > 1:
        # OBR-15: the specimen's code is the first component, cut once more; free text is the third
        free = parts[2] if len(parts) > 2 else ""
        parts = split(parts[0], marks.subcomponent)
        parts = [*parts, *[""] * (9 - len(parts))]
        parts[8] = parts[8] or free
    parts = [*parts, *[""] * (9 - len(parts))]
    for at in (0, 3):
        if parts[at] and parts[at + 2] in standard:
            return parts[at]
    # `^^24 h urine`: until v2.6 the free text of OBR-15 was its third component
    return next((parts[at] for at in (1, 8, 4, 0, 3, 2) if parts[at] and parts[at] != NULL), "")


def pick(place: Place, parts: list[str], marks: Marks, standard: frozenset[str] | None) -> str:
    """The text at `place` in a segment, escapes still in it; empty where there is none. `standard` is given
    for coded fields."""
    field = field_of(parts, place.field)
    if not field:
        return ""
    repetitions = split(field, marks.repetition)
    if place.kind is not None:
        kinds = ((split(text, marks.component) + [""] * 5)[4] for text in repetitions)
        field = next((text for text, kind in zip(repetitions, kinds, strict=True) if kind == place.kind), "")
    else:
        field = next((text for text in repetitions if text), "")
    if place.component is None and standard is not None:
        return coded(field, marks, standard)
    pieces = split(field, marks.component)
    at = (place.component or 1) - 1
    pieces = split(pieces[at], marks.subcomponent) if at < len(pieces) else [""]
    at = (place.subcomponent or 1) - 1
    text = pieces[at] if at < len(pieces) else ""
    return "" if text == NULL else text


def named(field: str, marks: Marks) -> tuple[str, str]:
    """(name, code) of what was measured (OBX-3): the code of the LOINC coding if there is one, else the
    first code; the first text."""
    parts = split(split(field, marks.repetition)[0], marks.component)
    parts = [*parts, *[""] * (12 - len(parts))]
    codings = [(parts[at], parts[at + 1], parts[at + 2]) for at in (0, 3, 9)]
    code = next((code for code, _, system in codings if system in LOINC and code), "")
    code = code or next((code for code, _, _ in codings if code), "")
    return next((text for text in (parts[1], parts[4], parts[8], parts[10]) if text), ""), code


def unit_of(field: str, marks: Marks) -> str:
    """The unit (OBX-6): the UCUM code if it is said to be one, else the code, else the text."""
    parts = split(split(field, marks.repetition)[0], marks.component)
    if len(parts) == 1:
        return parts[0]
    parts = [*parts, *[""] * (9 - len(parts))]
    ucum = next((parts[at] for at in (0, 3) if parts[at + 2] in UCUM and parts[at]), "")
    return ucum or next((parts[at] for at in (0, 1, 3, 4, 8) if parts[at]), "")


def _structured(text: str, marks: Marks) -> str:
    """SN: `<^7` -> `<7`, `^1^:^128` -> `1:128`, `^1^-^5` -> `1-5`, `>^1^.^3` -> `>1.3`; anything else as sent,
    because pieces pushed together could be another number."""
    parts = split(text, marks.component)
    comparator, first, mark, second = ([*parts, "", "", ""][at] if at < len(parts) else "" for at in range(4))
    if len(parts) > 4 or not _PLAIN.match(first):
        return text
    if mark == "." and not (first.isdigit() and second.isdigit()):
        return text
    if mark not in ("", "-", "+", "/", ".", ":") or (second and not (mark and _PLAIN.match(second))):
        return text
    return comparator + first + mark + second


def value_of(text: str, kind: str, marks: Marks) -> tuple[str, str | None]:
    """One repetition of OBX-5 by its type OBX-2, escapes still in it; and what is wrong with it."""
    if marks.component not in text or not marks.component:
        # a code alone, or one end of a range alone, could be taken for a number
        wrong = NO_TEXT if kind in _CODED else ONE_END if kind == "NR" else None
        return text, wrong if _NUMBER.match(text.strip()) else None
    if kind == "SN":
        return _structured(text, marks), None
    if kind in _CODED:
        parts = [*split(text, marks.component), *[""] * 9]
        said = next((parts[at] for at in (1, 8, 4) if parts[at]), "")
        return (said, None) if said else (text, None)
    if kind == "NR":  # low^high
        low, high = (*split(text, marks.component), "")[:2]
        return f"{low}-{high}" if low and high else text, None
    return text, None


def is_whole(parts: list[str], marks: Marks, zoned: bool) -> bool:
    """Whether an OBX or SPM at the end of a file, without a line end, says all that is read from it.

    Its last field may be cut: it must be a status, a code with its text, a whole time (with an offset where
    other times of the message have one: `zoned`), or a field that nobody reads, behind those.
    """
    text, last = parts[-1], len(parts) - 1
    if parts[0] == "SPM":
        if last < 17:
            return last == 4 and bool(marks.component) and marks.component in text
        is_time = last == 17
        text = text.rpartition(marks.component)[2] if marks.component else text
    else:
        if last <= 11:
            return last == 11 and text != ""
        is_time = last in (14, 19)
    found = _TIME.match(text)
    return not is_time or not text or (found is not None and (found[1] is not None or not zoned))
