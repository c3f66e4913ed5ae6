"""Erasing a subject: nothing of it stays in the ledger, the archive or the outputs of a home.

The only stage that rewrites what the ledger holds. It can be repeated at any time, and a run that was
killed is finished by the next one; other runs should rest meanwhile.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from schemas.result import ERASED, READ, RESULT_SCHEMA
from schemas.settings import Settings
from schemas.store import Store, read, write
from tasks.discover import InboxCache
from tasks.folders import folder_name
from tasks.ledger import Ledger, LostRaces
from tasks.snapshot import FOLDER, Snapshot, scan_files
from tasks.staged import Stood
from tasks.subject import COUNTED, GONE, LONG_ENOUGH, Search, blanked, editions, recounted

_ATTEMPTS = 10
_BLOCK = 1 << 20


@dataclass
class Found:
    """What a home holds of one subject. Counts, and the exports (SHA-256) that hold it."""

    rows: int = 0
    texts: int = 0
    samples: int = 0
    exports: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.exports)


def search_of(settings: Settings, lab: str, subject: str) -> Search:
    """How `subject` is recognised, with the samples that are known to be its own."""
    snapshot = Ledger(settings.store).open()
    own = snapshot.all_rows(lab).filter(pl.col("subject") == subject).select("sample_key").unique().collect()
    return Search(lab, subject, frozenset(own["sample_key"].drop_nulls()))


def find(settings: Settings, search: Search) -> Found:
    """What ledger and archive hold of a subject."""
    snapshot = Ledger(settings.store).open()
    found = Found(exports=_archived(settings, search, snapshot))
    marked = (
        snapshot.all_rows(search.lab)
        .select("export", "sample_key", search.own_rows.alias("own"), search.texts.alias("text"))
        .filter(pl.col("own") | pl.col("text"))
        .collect()
    )
    found.rows, found.texts = int(marked["own"].sum()), int(marked["text"].sum())
    found.samples = marked.filter("own")["sample_key"].drop_nulls().n_unique()
    found.exports |= set(marked["export"])
    return found


def erase(settings: Settings, search: Search) -> Found:
    """Remove a subject from archive and ledger, and the log entries that quote it; returns what was found.

    Publishing afterwards rebuilds the outputs: each export that held something gets a new edition of what
    stays of it. Raises LostRaces where other processes committed each time.
    """
    ledger = Ledger(settings.store)
    total = Found()
    for _ in range(_ATTEMPTS):
        found = find(settings, search)
        total.rows, total.texts = max(total.rows, found.rows), max(total.texts, found.texts)
        total.samples = max(total.samples, found.samples)
        total.exports |= found.exports
        # first the bytes: a run that is killed after this still finds the rows, and ends its work
        _unarchive(settings, search, found.exports)
        if _rewrite(ledger, search, found.exports):
            _remove_staged(ledger, search)
            ledger.forget()
            return total
    raise LostRaces(f"lab {search.lab}: other processes committed each time; let them end, then erase again")


# the archive


def _archived(settings: Settings, search: Search, snapshot: Snapshot) -> set[str]:
    """Archived exports that hold the subject though no row says so: those without rows that name it in their
    bytes, those whose bytes came back after an erasure, and those of which an erasure was cut off."""
    newest = {r["export"]: r for r in snapshot.receipts(search.lab).to_dicts()}
    there = _in_archive(settings.store, search.lab)
    kept = {sha256 for _, sha256, is_note in there if not is_note}
    out = set()
    for name, sha256, is_note in there:
        said = newest.get(sha256)
        if is_note:
            lost = sha256 not in kept and said is not None and said["action"] == READ
            holds = lost and _noted(settings.store, name) == GONE
        elif said is not None and said["action"] == ERASED:
            holds = True
        else:
            holds = (said is None or not said["rows"]) and _bytes_name(settings.store, name, search)
        if holds:
            out.add(sha256)
    return out


def _in_archive(store: Store, lab: str) -> list[tuple[str, str, bool]]:
    """Name, SHA-256, and whether it is the note of an arrival, of each file that the archive keeps of a lab."""
    out = []
    for item in store.items(f"archive/{folder_name(lab)}"):
        sha256, note, _ = item.name.rsplit("/", 1)[1].partition(".json")
        out.append((item.name, sha256, bool(note)))
    return out


def _noted(store: Store, name: str) -> str:
    """The name that an export arrived under."""
    return str(json.loads(read(store, name) or b"{}").get("name", ""))


def _bytes_name(store: Store, name: str, search: Search) -> bool:
    """Whether the bytes of a file hold the subject as text."""
    if len(search.subject) < LONG_ENOUGH:
        return False
    wanted = [
        search.subject.encode(code, "replace") for code in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
    ]
    before = b""
    with store.open(name) as file:
        while block := file.read(_BLOCK):
            if any(text in before + block for text in wanted):
                return True
            before = block[-max(map(len, wanted)) :]
    return False


def _unarchive(settings: Settings, search: Search, exports: set[str]) -> None:
    store = settings.store
    there = _in_archive(store, search.lab)
    receipts = Ledger(store).open().receipts(search.lab)
    known = set(receipts["export"])
    named = exports | set(receipts.filter(search.in_text(pl.col("name")))["export"])
    for name, sha256, is_note in there:
        if is_note and (sha256 in named or (sha256 not in known and search.named(_noted(store, name)))):
            text = json.dumps(json.loads(read(store, name) or b"{}") | {"name": GONE}).encode()
            write(store, name, partial(Path.write_bytes, data=text))
    for name, sha256, is_note in there:
        if sha256 in exports and not is_note:
            store.delete(name)
    cache = InboxCache(settings)
    kept = {
        path: said
        for path, said in cache.known.items()
        if not (said[0] == search.lab and (said[1] in exports or search.named(path)))
    }
    if len(kept) < len(cache.known):
        cache.known = kept
        cache.save()


# the ledger


def _rewrite(ledger: Ledger, search: Search, exports: set[str]) -> bool:
    """Swap every file that holds something for one that does not; False where another process was faster."""
    snapshot = ledger.open()
    before = snapshot.all_receipts(search.lab)
    receipts = blanked(before, search, exports)
    if not exports and receipts.equals(before):
        return True
    files = snapshot.files.filter(pl.col("lab") == search.lab)
    old: list[dict] = files.filter(pl.col("kind") == "receipt").to_dicts()
    fresh: list[Stood] = []
    counted = [pl.DataFrame(schema=COUNTED)]
    ended = editions(receipts, exports, datetime.now(UTC))
    again = dict(ended.select("export", pl.col("edition") - 1).iter_rows())
    theirs = pl.col("export").is_in(list(exports))
    for file in files.filter(pl.col("kind") == "result").to_dicts():
        scan = scan_files(ledger.store, [file["path"]], RESULT_SCHEMA)
        if not scan.select(theirs.any()).collect().item():
            continue
        rows = scan.collect()
        stays = search.without(rows)
        if not stays.equals(rows):
            old.append(file)
            if len(stays):
                fresh.append(ledger.rewritten(stays, "result", file["edition"]))
        own = stays.filter(theirs)
        counted.append(
            own.with_columns(pl.lit(file["edition"]).cast(pl.Int32).alias("edition")).select(list(COUNTED))
        )
        standing = own.filter(
            pl.col("export").is_in([e for e, edition in again.items() if edition == file["edition"]])
        )
        if len(standing):
            fresh.append(ledger.rewritten(standing, "result", file["edition"] + 1))
    every = recounted(pl.concat([receipts, ended]), pl.concat(counted), again, exports)
    for (edition,), group in every.group_by("edition"):
        fresh.append(ledger.rewritten(group, "receipt", int(edition)))  # type: ignore[call-overload]
    return ledger.swap(snapshot, search.lab, old, fresh, dict(ended.select("export", "edition").iter_rows()))


def _remove_staged(ledger: Ledger, search: Search) -> None:
    """Remove files of rows that no commit names and that hold the subject: what a killed process staged."""
    snapshot = ledger.open()
    known = snapshot.paths | snapshot.swapped_away()
    for item in ledger.store.items(f"{FOLDER}/files"):
        path = item.name.removeprefix(f"{FOLDER}/")
        if path in known:
            continue
        try:
            rows = scan_files(ledger.store, [path], RESULT_SCHEMA)
            holds = rows.select((search.own_rows | search.texts).any()).collect().item()
        except (pl.exceptions.PolarsError, OSError):
            holds = True  # half a file, of which nobody can say what it holds
        if holds:
            ledger.store.delete(item.name)
