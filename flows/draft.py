"""A draft of a layout from what was found in a file, so that a lab person fills gaps instead of a blank page."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from schemas.export import TEXT_COLUMNS, Unreadable
from schemas.settings import Settings
from tasks import readers
from tasks.bench import Bench, Reading, Source
from tasks.judged import Account, judged
from tasks.readers.table import is_blank

#: rule -> the table and key of a layout that mends it, when every row lacks it
_MISSING = {
    "no unit": "unit",
    "no specimen": "specimen",
    "no sample id": "sample",
    "no collection time": "collected_at",
}
_EXAMPLES = {"unit": "nmol/L", "specimen": "serum"}


@dataclass
class Found:
    """What a file shows to somebody who writes its layout."""

    account: Account
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    texts: dict[str, Counter[str]] = field(default_factory=dict)  # rule -> texts that it refused


_TEXT_OF = {
    "unknown analyte": "sent_analyte",
    "ambiguous analyte": "sent_analyte",
    "unknown unit": "sent_unit",
    "unit without its basis": "sent_unit",
    "unknown specimen": "sent_specimen",
    "unreadable time": "sent_collected_at",
    "unreadable value": "sent_value",
    "ambiguous number": "sent_value",
}


def _look(bench: Bench, source: Source, reading: Reading) -> Found:
    found = Found(Account())
    try:
        for frame in judged(bench, source, reading, found.account):
            for rule, column in _TEXT_OF.items():
                hit = frame.filter(pl.col("reasons").list.contains(rule))[column].drop_nulls()
                found.texts.setdefault(rule, Counter()).update(dict(hit.value_counts().iter_rows()))
    except Unreadable as error:
        found.account.reason = str(error)
    found.rows, found.reasons = found.account.rows, found.account.reasons
    return found


def _headers(bench: Bench, path: Path) -> list[str]:
    """The likeliest headers of a table that no layout knows: its first record with the most fields."""
    layout = bench.layouts["generic"]
    best: list[str] = []
    try:
        heads = readers.tables(path, layout)
    except Unreadable:
        return best  # why not stands above the draft already
    for head in heads:
        widest = max(
            (r for r in head.records[:30] if not is_blank(r)), key=lambda r: sum(map(bool, r)), default=[]
        )
        if len(widest) > len(best):
            best = widest
    return best


def _texts(counted: Counter[str], example: str, limit: int = 30) -> list[str]:
    return [f"# {json.dumps(text, ensure_ascii=False)} = {json.dumps(example)}   # {count} rows"
            for text, count in counted.most_common(limit)]  # fmt: skip


def draft(settings: Settings, source: Source) -> tuple[str, str]:
    """(name, TOML text) of a draft for the export `source`; what is not commented out is true already."""
    bench = Bench.of(settings)
    lab = source.export.lab
    reading = bench.reading_of(source)
    fits = reading.layout.name if reading.layout else "table"
    own = reading.layout is not None and lab in reading.layout.labs
    name = fits if own else re.sub(r"[^a-z0-9]+", "-", f"{lab}-{fits}".lower()).strip("-")
    lines = [
        "# A draft: what is written out was found in the file, what stands behind # waits for you.",
        "# `neurobalance check FILE --lab LAB` tells at any time what the layout makes of a file.",
        f"name = {json.dumps(name)}",
        'title = ""',
        f"labs = [{json.dumps(lab, ensure_ascii=False)}]",
    ]
    if reading.layout is None:
        lines += _unknown(bench, source.path, reading.reason or "no layout fits")
    else:
        lines += [
            f"# {name} reads this file already; add to it what it lacks"
            if own
            else f"extends = {json.dumps(fits)}"
        ]
        lines += _known(_look(bench, source, reading))
    return name, "\n".join(lines) + "\n"


def _unknown(bench: Bench, path: Path, reason: str) -> list[str]:
    headers = _headers(bench, path)
    lines = [f"# {reason}", 'reader = "table"', ""]
    if headers:
        quoted = ", ".join(json.dumps(h, ensure_ascii=False) for h in headers if h.strip())
        lines += [f"# the headers seem to be: {quoted}", "[columns]"]
        lines += [
            f'# {ours} = "HEADER"   # {what}'
            for ours, what in TEXT_COLUMNS.items()
            if ours not in ("raw", "defect")
        ]
    else:
        lines += ["# no table was found: another reader may be needed, see docs/add-a-reader.md"]
    return lines


def _known(found: Found) -> list[str]:
    account, rows = found.account, max(found.rows, 1)
    lines = ["", f"# rows {found.rows}, accepted {account.accepted}"]
    lines += [f"# {count} of {rows}: {reason}" for reason, count in found.reasons.most_common()]
    if account.reason:
        lines += [f"# the file as a whole: {account.reason}"]
    lines += ["", "[columns]"]
    lines += [
        f"# read: {ours} from {json.dumps(theirs, ensure_ascii=False)}"
        for ours, theirs in account.columns_used.items()
    ]
    lines += [f"# not read: {json.dumps(theirs, ensure_ascii=False)}" for theirs in account.columns_unused]
    lines += [
        f'# {column} = "HEADER"   # needed'
        for rule, column in _MISSING.items()
        if found.reasons[rule] and column not in (*_EXAMPLES, *account.columns_used)
    ]
    lines += ["", "[constants]"]
    lines += [
        f"# {column} = {json.dumps(_EXAMPLES[column])}   # {found.reasons[rule]} rows say none"
        for rule, column in _MISSING.items() if found.reasons[rule] and column in _EXAMPLES
    ]  # fmt: skip
    for table, rules, example in (
        (
            "analytes",
            ("unknown analyte", "ambiguous analyte"),
            "an analyte id, see neurobalance catalogue analytes",
        ),
        ("specimens", ("unknown specimen",), "a specimen id, see neurobalance catalogue specimens"),
        (
            "units",
            ("unknown unit", "unit without its basis"),
            "a unit with its basis, for example ug/g{creat}",
        ),
    ):
        texts = sum((found.texts.get(rule, Counter()) for rule in rules), Counter())
        if texts:
            lines += ["", f"[{table}]", *_texts(texts, example)]
    values = sum(
        (found.texts.get(rule, Counter()) for rule in ("unreadable value", "ambiguous number")), Counter()
    )
    if values:
        shown = ", ".join(json.dumps(text, ensure_ascii=False) for text, _ in values.most_common(10))
        lines += ["", "[values]", f"# not understood: {shown}", '# decimal = "."', '# thousands = ""',
                  '# not_detected = ["nd"]', '# below = ["<LLOQ"]', '# missing = ["", "NA"]']  # fmt: skip
    if found.reasons["unreadable time"] or found.reasons["no time zone"]:
        shown = ", ".join(
            json.dumps(t) for t, _ in found.texts.get("unreadable time", Counter()).most_common(3)
        )
        lines += ["", "[times]", *([f"# not understood: {shown}"] if shown else []),
                  '# formats = ["%d.%m.%Y %H:%M"]', '# timezone = "Europe/Berlin"']  # fmt: skip
    return lines
