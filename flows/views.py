"""What the command prints. Names and texts of exports are shown by `show` and `check` only."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.result import READ, WITHDRAWN
from schemas.settings import Settings
from tasks.archive import Arrival, Export
from tasks.bench import Bench, Source
from tasks.judged import Account, judged
from tasks.ledger import Ledger
from tasks.validate import RULES

#: Columns of a terminal that is none (a pipe, a log): enough for every table.
_WIDTH_OF_A_PIPE = 160
console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)


def table(title: str, *columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """A plain table; `numbers` are the columns that stand to the right."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        min_width=len(title),  # a title is not folded
    )
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def text_of(value: object) -> str:
    """A cell of an export as it may be printed: control characters made visible, markup without effect."""
    shown = "" if value is None else str(value)
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return escape(shown if len(shown) <= 80 else shown[:77] + "...")


def reasons_text(receipt: dict) -> str:
    """The reasons of a receipt with their counts."""
    counted = [f"{r['reason']}: {r['count']}" for r in receipt["reason_counts"]]
    return "; ".join(([receipt["reason"]] if receipt["reason"] else []) + counted)


def print_run(counts: dict[str, int]) -> None:
    """What one run did."""
    if not counts["exports"]:
        healed = f" Months published anew: {counts['months']}." if counts["months"] else ""
        console.print(f"Nothing waits in the inbox.{healed}")
    elif not counts["new_editions"]:
        console.print(f"{counts['exports']} exports, all in the ledger already: nothing changed.")
    else:
        console.print(
            f"{counts['exports']} exports, {counts['new_editions']} new: {counts['accepted']} rows accepted, "
            f"{counts['quarantined']} quarantined; months published: {counts['months']}."
        )
    if counts["left"]:
        console.print(
            f"Left in the inbox, because they are still being uploaded or cannot be read: {counts['left']} files."
        )
    if counts["quarantined"] or counts["unreadable"]:
        console.print(
            f"Quarantined rows: {counts['quarantined']}. Exports that could not be read: {counts['unreadable']}."
        )
        console.print(
            "`neurobalance status` lists the reasons, `neurobalance show HASH` the rows and how to mend them."
        )


def receipts_table(receipts: pl.DataFrame) -> Table:
    """Receipts without names: lab, hash, layout, counts, reasons."""
    made = table("Receipts", "lab", "export", "layout", "rows", "accepted", "quarantined", "reasons",
                 numbers=("rows", "accepted", "quarantined"))  # fmt: skip
    for r in receipts.sort("lab", "received_at", "export").to_dicts():
        made.add_row(escape(r["lab"]), r["export"][:12], r["layout"] or "none", str(r["rows"]), str(r["accepted_rows"]),
                     str(r["quarantined_rows"]), reasons_text(r))  # fmt: skip
    return made


def find_export(settings: Settings, said: str) -> dict | None:
    """The receipt of the export that is called so: the first characters of its hash (4 or more), where two labs
    sent the same bytes behind the lab and a slash. None where that is none or several."""
    lab, _, start = said.rpartition("/")
    ledger = Ledger(settings.store)
    if len(start) < 4 or not ledger.exists():
        return None
    receipts = ledger.open().receipts(lab or None)
    found = receipts.filter(pl.col("export").str.starts_with(start.lower()))
    return found.to_dicts()[0] if len(found) == 1 else None


def name_for(settings: Settings, receipt: dict) -> str:
    """How an export is called on the command line, see `find_export`."""
    short = receipt["export"][:12]
    return short if find_export(settings, short) else shlex.quote(f"{receipt['lab']}/{short}")


def print_export(settings: Settings, said: str, limit: int) -> bool:
    """One export with its name, receipt, and at most `limit` quarantined rows; False where `find_export` finds none."""
    receipt = find_export(settings, said)
    if receipt is None:
        return False
    made = table(f"Export {receipt['export'][:12]} of lab {escape(receipt['lab'])}", "what", "")
    skipped = "; ".join(f"{s['name']}: {s['count']}" for s in receipt["skipped"])
    for name, value in (
        ("name", text_of(receipt["name"])), ("sha-256", receipt["export"]), ("size", f"{receipt['size']} bytes"),
        ("edition", str(receipt["edition"])), ("layout", receipt["layout"] or "none"),
        ("received (UTC)", f"{receipt['received_at']:%Y-%m-%d %H:%M:%S}"), ("rows", str(receipt["rows"])),
        ("accepted", str(receipt["accepted_rows"])), ("quarantined", str(receipt["quarantined_rows"])),
        ("skipped", escape(skipped) or "nothing"), ("notes", "; ".join(map(text_of, receipt["notes"])) or "none"),
        ("reasons", escape(reasons_text(receipt)) or "none"),
    ):  # fmt: skip
        made.add_row(name, value)
    if receipt["action"] != READ:
        made.add_row(receipt["action"], text_of(receipt["action_reason"]))
    console.print(made)
    rows = (
        Ledger(settings.store)
        .open()
        .rows(receipt["lab"])
        .filter((pl.col("export") == receipt["export"]) & ~pl.col("accepted"))
    )
    quarantined = rows.sort("row", "item").head(limit).collect()
    _print_quarantined(quarantined, receipt["quarantined_rows"])
    if receipt["quarantined_rows"] or receipt["reason"]:
        console.print(f"\n{once_mended(receipt['lab'])}")
    elif receipt["action"] == WITHDRAWN:
        console.print(
            f"\nTo take it in again: neurobalance withdraw {escape(name_for(settings, receipt))} --undo"
        )
    return True


def once_mended(lab: str | None = None) -> str:
    """The command that reads again what a mended layout or catalogue may now accept."""
    named = f" --lab {escape(shlex.quote(lab))}" if lab else ""
    return f"Once a layout or the catalogue is mended: neurobalance backfill --quarantined{named}"


def _print_quarantined(rows: pl.DataFrame, total: int) -> None:
    if not total:
        return
    made = table(f"\nQuarantined rows ({len(rows)} of {total})", "row", "item", "sample", "analyte", "value", "unit", "reasons",
                 numbers=("row",))  # fmt: skip
    for r in rows.to_dicts():
        said = "; ".join(r["reasons"]) + (f" ({r['hint']})" if r["hint"] else "")
        cells = [text_of(r[name]) for name in ("item", "sample", "sent_analyte", "sent_value", "sent_unit")]
        if r["raw"] is not None:
            cells[2] = text_of(r["raw"])
        made.add_row(str(r["row"]), *cells, said)
    console.print(made)
    made = table("\nHow to mend them", "reason", "mend")
    for reason in sorted({reason for reasons in rows["reasons"] for reason in reasons}):
        made.add_row(reason, escape(RULES[reason].mend))
    console.print(made)


def as_source(lab: str, file: Path) -> Source:
    """A file that is not archived, as an export that arrives now."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Source(Export(lab, digest), file, Arrival(file.name, file.stat().st_size, datetime.now(UTC)))


def print_check(settings: Settings, lab: str, file: Path) -> None:
    """What would happen to a file; nothing is written."""
    bench = Bench.of(settings)
    source = as_source(lab, file)
    digest = source.export.sha256
    reading = bench.reading_of(source, explain=True)
    account = Account()
    quarantined: list[pl.DataFrame] = []
    from schemas.export import Unreadable

    try:
        for frame in judged(bench, source, reading, account):
            if sum(map(len, quarantined)) < 50:
                quarantined.append(frame.filter(~pl.col("accepted")).head(50))
    except Unreadable as error:
        account.reason = str(error)
    made = table(f"Check of {text_of(file.name)} as an export of lab {escape(lab)}", "what", "")
    fits = [
        f"{name}: {'fits' if fit else 'does not fit'}, {escape(why)}" for name, fit, why in reading.considered
    ]
    for name, value in (
        ("sha-256", digest), ("layout", account.layout or "none"), ("considered", "\n".join(fits) or "none"),
        ("columns used", ", ".join(f"{text_of(theirs)} -> {ours}" for ours, theirs in account.columns_used.items()) or "none"),
        ("columns not used", ", ".join(map(text_of, account.columns_unused)) or "none"),
        ("rows", str(account.rows)), ("accepted", str(account.accepted)), ("quarantined", str(account.quarantined)),
        ("skipped", "; ".join(f"{what}: {n}" for what, n in account.skipped.items()) or "nothing"),
        ("notes", "; ".join(map(text_of, account.notes)) or "none"), ("reason", escape(account.reason or "none")),
    ):  # fmt: skip
        made.add_row(name, value)
    console.print(made)
    if account.layout:
        console.print(
            f'To pin the layout, write into labs.toml of the home folder:  \\[{escape(lab)}]  layouts = \\["{account.layout}"]'
        )
    else:
        console.print(
            "`neurobalance catalogue layouts` lists the layouts; docs/add-a-layout.md tells how to write one."
        )
    rows = pl.concat(quarantined) if quarantined else pl.DataFrame()
    _print_quarantined(rows.head(50), account.quarantined)


def print_catalogue(settings: Settings, what: str) -> None:
    """One part of the catalogue as a table."""
    bench = Bench.of(settings)
    known = bench.catalogue
    if what == "analytes":
        made = table(
            "Analytes",
            "id",
            "name",
            "class",
            "molar mass (g/mol)",
            "HMDB",
            "ChEBI",
            numbers=("molar mass (g/mol)",),
        )
        for a in known.analytes.values():
            made.add_row(
                a.id, escape(a.name), a.class_, f"{a.molar_mass:g}" if a.molar_mass else "", a.hmdb, a.chebi
            )
    elif what == "metrics":
        made = table("Metrics", "id", "formula", "unit", "specimens", "studied in", "evidence", "computed")
        for m in known.metrics.values():
            computed = "yes" if m.computed else f"no: {m.not_computed_because}"
            made.add_row(
                m.id,
                escape(m.formula_text),
                m.unit,
                ", ".join(m.specimens),
                ", ".join(m.studied_in),
                m.evidence_grade,
                computed,
            )
    elif what == "specimens":
        made = table("Specimens", "id", "name", "compartment", "bases")
        for s in known.specimens.values():
            made.add_row(s.id, s.name, s.compartment, ", ".join(s.bases))
    elif what == "layouts":
        made = table("Layouts", "name", "title", "reader", "labs")
        for layout in bench.layouts.values():
            made.add_row(layout.name, escape(layout.title), layout.reader, ", ".join(layout.labs) or "any")
    else:
        made = table(
            "Units: any amount over any denominator of its basis", "what", "texts", "UCUM", "basis or kind"
        )
        for name, amount in known.units.amounts.items():
            made.add_row("amount", _spelled(known.units.amount_spellings, name), escape(name), amount.kind)
        for (per, _), denominator in known.units.denominators.items():
            texts = _spelled(known.units.denominator_spellings, per)
            made.add_row("denominator", texts, escape(denominator.ucum), denominator.basis)
    console.print(made)


def _spelled(spellings: Mapping[str, str], ucum: str) -> str:
    return escape(", ".join(sorted({text for text, found in spellings.items() if found == ucum} | {ucum})))
