"""The two rows of headers of a MassHunter batch table: what each of its columns belongs to."""

from __future__ import annotations

import csv
import io
import itertools
import re
from dataclasses import dataclass, field

from tasks.readers.delimited import DELIMITERS

_GROUP = re.compile(r"^(?P<name>\S.*?)\s+(?P<kind>Results?|Method)$")
_QUALIFIER = re.compile(r"^Qualifier\s*\(")
_TRANSPOSED = re.compile(r"^Compound(?:\s+(?:Method|Results?))?$")
#: one of these stands in every upper row
_WORDS = ("Result", "Method", "Compound")
#: what MassHunter prints of a peak, of which one at least stands under every compound
_RESULTS = {
    "RT",
    "Area",
    "Height",
    "Resp.",
    "Response",
    "Calc. Conc.",
    "Final Conc.",
    "MI",
    "Accuracy",
    "S/N",
}
#: what belongs to a sample, of which one at least stands before the compounds
_SAMPLE = {"Name", "Data File", "Type", "Acq. Date-Time", "Sample Name", "Level", "Pos.", "Vol.", "Sample ID"}
#: the headers are looked for in so many records: some labs write titles above them
WITHIN = 10


@dataclass
class Group:
    """The columns of one compound (transposed: of one sample)."""

    name: str
    columns: list[int] = field(default_factory=list)


@dataclass
class Header:
    """The two rows of headers: what is told once a record, and each group."""

    number: int  # 1-based record of the upper row
    delimiter: str
    upper: list[str]
    lower: list[str]
    transposed: bool
    once: list[int] = field(default_factory=list)  # columns outside all groups
    groups: list[Group] = field(default_factory=list)
    qualifiers: list[int] = field(
        default_factory=list
    )  # columns that confirm a compound, and measure nothing

    @property
    def width(self) -> int:
        """Columns of the table."""
        return len(self.lower)


def _header(upper: list[str], lower: list[str], number: int, delimiter: str) -> Header | None:
    """The headers that two records hold, None where they are none."""
    lower = [cell.strip() for cell in lower]
    if _RESULTS.isdisjoint(lower):
        return None
    upper = [cell.strip() for cell in upper]
    while len(upper) < len(lower):
        upper.append("")
    while len(upper) > len(lower) and not upper[-1]:
        upper.pop()
    if len(upper) != len(lower):
        return None
    first = next((cell for cell in upper if cell), "")
    head = Header(number, delimiter, upper, lower, bool(_TRANSPOSED.match(first)))
    groups: dict[str, Group] = {}
    label, seen = "", set[str]()
    for index, above in enumerate(upper):
        label = above or label
        found = _GROUP.match(label)
        if head.transposed and label and label != first:
            groups.setdefault(label, Group(label)).columns.append(index)
        elif head.transposed or not found:
            head.once.append(index)
        elif _QUALIFIER.match(label):
            head.qualifiers.append(index)
        elif found:
            # method and results of a compound are one group; a second `X Results` is another compound
            if above in seen:
                groups[f"{found['name']}\0{index}"] = groups.pop(found["name"])
            seen |= {above} - {""}
            groups.setdefault(found["name"], Group(found["name"])).columns.append(index)
    head.groups = list(groups.values())
    told = {lower[index] for index in head.once}
    named = {"Name"} & told if head.transposed else _SAMPLE & told
    if not named or not any(_RESULTS & {lower[i] for i in group.columns} for group in head.groups):
        return None
    return head


def find_header(text: str, cut: bool = False) -> Header | None:
    """The headers in the first records of a text. `cut`: the text ends where the head of a file does, which may
    be within the headers of some thousand compounds: then what is there of them tells enough."""
    if not any(word in text for word in _WORDS):
        return None  # to cut the text takes time, and every text is asked about
    for delimiter in DELIMITERS:
        try:
            head = [
                record
                for record, _ in zip(
                    csv.reader(io.StringIO(text, newline=""), delimiter=delimiter),
                    range(WITHIN + 1),
                    strict=False,
                )
            ]
        except csv.Error:
            continue
        if cut and len(head) == 1 and sum(bool(_GROUP.match(cell.strip())) for cell in head[0][:-1]) > 2:
            return Header(1, delimiter, head[0], [], transposed=False)
        if cut and len(head) == 2:
            head = [head[0][: len(head[1]) - 1], head[1][:-1]]
        for number, (upper, lower) in enumerate(itertools.pairwise(head), start=1):
            if header := _header(upper, lower, number, delimiter):
                return header
    return None
