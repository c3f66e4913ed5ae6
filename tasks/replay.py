"""Reading archived exports again: what is in the archive, and which of it would now be read in another way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from schemas.settings import Settings
from tasks.archive import Export, NotArchived, archived_name
from tasks.bench import Bench
from tasks.choose import ARCHIVED_SCHEMA, Choice, chosen
from tasks.folders import folder_name, lab_of
from tasks.ledger import Ledger

_SHA256 = re.compile(r"[0-9a-f]{64}")


def archived(settings: Settings, labs: list[str]) -> pl.DataFrame:
    """Every export whose bytes are in the archive: `ARCHIVED_SCHEMA`. labs: those that the ledger knows."""
    by_folder = {folder_name(lab): lab for lab in labs}
    found = []
    for item in settings.store.items("archive"):
        _, folder, *name = item.name.split("/")
        lab = by_folder.get(folder, lab_of(folder))
        # the folder of a very long name does not tell the lab, so such a lab is known by its receipts only
        if len(name) == 1 and _SHA256.fullmatch(name[0]) and folder_name(lab) == folder:
            found.append((lab, name[0], item.size, item.modified))
    return pl.DataFrame(found, schema=ARCHIVED_SCHEMA, orient="row")


def choose(bench: Bench, choice: Choice) -> pl.DataFrame:
    """The archived exports that a choice means, as they stand now: `CHOSEN_SCHEMA`."""
    snapshot = Ledger(bench.settings.store).open()
    return chosen(
        archived(bench.settings, snapshot.labs()),
        snapshot.receipts(),
        choice,
        bench.catalogue.reading_hash,
        {name: layout.digest for name, layout in bench.layouts.items()},
    )


def reading_hashes(bench: Bench, exports: list[Export]) -> dict[Export, str]:
    """What the reading hash of each export would be now; only the head of its bytes is looked at."""
    found = {}
    for export in exports:
        with bench.source(export) as source:
            found[export] = bench.reading_of(source).reading_hash
    return found


def with_sizes(settings: Settings, exports: Iterable[Export]) -> Iterator[tuple[Export, int]]:
    """Archived exports, each with the size of its bytes. Raises NotArchived."""
    for export in exports:
        kept = settings.store.item(archived_name(export))
        if kept is None:
            raise NotArchived(f"{export.short}: nothing of it is in the archive of this home")
        yield export, kept.size
