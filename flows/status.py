"""What `neurobalance status` prints: what came in, what needs a hand, what is published. No names, no values."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from rich.markup import escape

from flows.events import share
from flows.report import quarantine_rows
from flows.views import console, once_mended, table
from schemas.result import UNDATED
from schemas.settings import Settings
from tasks.discover import NO_ACCESS, UPLOADING, left_now
from tasks.folders import lab_of
from tasks.ledger import Ledger
from tasks.runs import COMPLETED, RUNNING, last_run
from tasks.silence import silent_labs

_MINUTE = "%Y-%m-%d %H:%M"
_MENDS = {
    UPLOADING: "taken in by a later run; NEUROBALANCE_SETTLE_SECONDS says after how long",
    NO_ACCESS: "give the account of the runs permission to read it",
}


def print_status(settings: Settings) -> None:
    """The last run, exports by lab, what needs a hand, quarantine by reason, months published."""
    ledger = Ledger(settings.store)
    receipts = ledger.open().receipts() if ledger.exists() else pl.DataFrame()
    _print_last_run(settings)
    if receipts.is_empty():
        console.print(
            "No export yet. Put files into inbox/<lab>/ of the home folder, or name them: ingest --lab L FILES"
        )
    else:
        _print_exports(receipts)
    _print_needs(settings, receipts)
    if receipts.is_empty():
        return
    if reasons := quarantine_rows(receipts):
        made = table(
            "\nQuarantine", "lab", "reason", "rows", "exports", "how to mend it", numbers=("rows", "exports")
        )
        for said in sorted(reasons, key=lambda said: (said["lab"], -said["rows"])):
            made.add_row(escape(said["lab"]), escape(said["reason"]), str(said["rows"]), str(said["exports"]),
                         escape(said["how to mend it"]))  # fmt: skip
        console.print(made)
        console.print(once_mended())
    made = table("\nMonths published", "lab", "months")
    months: dict[str, list[str]] = {}
    for item in settings.store.items("outputs/metrics"):
        *_, folder, file = item.name.split("/")
        months.setdefault(folder, []).append(file.removesuffix(".parquet"))
    for folder, published in sorted(months.items()):
        made.add_row(escape(lab_of(folder)), ", ".join(sorted(m for m in published if m != UNDATED)))
    console.print(made)


def _print_last_run(settings: Settings) -> None:
    run = last_run(settings)
    if run is None:
        return
    began = f"{datetime.fromisoformat(run['began']):{_MINUTE}}"
    if run["state"] == RUNNING:
        said = "is running, or was killed: then the next one mends what it left"
    elif run["state"] == COMPLETED:
        counts = run["counts"]
        said = f"completed: {counts['new_editions']} new editions, {counts['accepted']} rows accepted"
        said += f", {counts['quarantined']} quarantined"
    else:
        said = "failed; the log of the run, or its page in Prefect, says why"
    console.print(f"Last run (began {began} UTC): {said}.\n")


def _print_exports(receipts: pl.DataFrame) -> None:
    made = table("Exports", "lab", "exports", "unreadable", "rows", "accepted", "quarantined", "%", "last receipt (UTC)",
                 numbers=("exports", "unreadable", "rows", "accepted", "quarantined", "%"))  # fmt: skip
    for (lab,), group in receipts.sort("lab").group_by("lab", maintain_order=True):
        last = group.select(pl.col("received_at").max().dt.strftime(_MINUTE)).item()
        rows, bad = group["rows"].sum(), group["quarantined_rows"].sum()
        made.add_row(
            escape(str(lab)), str(len(group)), str(len(group) - group["reason"].null_count()), str(rows),
            str(group["accepted_rows"].sum()), str(bad), f"{100 * share(rows, bad):.1f}", last,
        )  # fmt: skip
    console.print(made)


def needs(settings: Settings, receipts: pl.DataFrame) -> list[tuple[str, str, str]]:
    """What needs a hand: lab, what is the matter, what to do.

    receipts: the newest ones (lab, received_at, rows, quarantined_rows, reason), or an empty frame.
    """
    out = []
    for (lab, why), number in sorted(left_now(settings).items()):
        out.append((lab, f"{number} files in the inbox: {why}", _MENDS[why]))
    arrivals = (
        receipts if len(receipts) else pl.DataFrame(schema={"lab": pl.String, "received_at": pl.Datetime})
    )
    for silent in silent_labs(settings.labs(), arrivals, datetime.now(UTC)):
        since = f"since {silent.last:{_MINUTE}} UTC" if silent.last else "and never was anything"
        out.append(
            (silent.lab, f"silent: nothing new {since}", "ask the lab; labs.toml says silent_after_hours")
        )
    for (lab,), group in receipts.sort("lab").group_by("lab", maintain_order=True) if len(receipts) else ():
        if failed := len(group) - group["reason"].null_count():
            out.append((str(lab), f"{failed} exports that no layout reads", "docs/add-a-layout.md"))
        if (ratio := share(group["rows"].sum(), group["quarantined_rows"].sum())) > settings.quarantine_alert:
            out.append(
                (str(lab), f"{100 * ratio:.1f} % of its rows are in quarantine", "see the reasons below")
            )
    return out


def _print_needs(settings: Settings, receipts: pl.DataFrame) -> None:
    found = needs(settings, receipts)
    if not found:
        return
    made = table("\nNeeds a hand", "lab", "what", "what to do")
    for lab, what, mend in found:
        made.add_row(escape(lab), what, mend)
    console.print(made)
