"""The catalogues that a home has published with, kept so that what was computed then can be computed again.

`catalogues/<UTC time>-<first 16 characters of the metric hash>.json` holds the text of every file, the
built-in ones and the home's own, and is written whenever another catalogue is published.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from schemas.catalogue import Catalogue, CatalogueError, built_in_files, catalogue_of
from schemas.settings import Settings
from schemas.store import read, write

_FOLDER = "catalogues"
_TIME = "%Y%m%dT%H%M%S.%fZ"


def _kept(settings: Settings) -> list[tuple[datetime, str, str]]:
    """Time (UTC), start of the metric hash and name of each kept catalogue, oldest first."""
    out = []
    for item in settings.store.items(_FOLDER):
        said, _, start = item.name.rsplit("/", 1)[1].removesuffix(".json").partition("-")
        out.append((datetime.strptime(said, _TIME).replace(tzinfo=UTC), start, item.name))
    return sorted(out)


def keep(settings: Settings, catalogue: Catalogue, now: datetime | None = None) -> bool:
    """Keep a catalogue if it computes anything else than the one that was kept last; whether it was kept."""
    kept, start = _kept(settings), catalogue.metric_hash[:16]
    if kept and kept[-1][1] == start:
        return False
    own = {
        item.name.rsplit("/", 1)[1]: (read(settings.store, item.name) or b"").decode("utf-8", "replace")
        for item in settings.store.items("catalogue")
        if item.name.endswith(".csv") and item.name.count("/") == 1
    }
    said = {"built_in": {name: text.decode() for name, text in built_in_files().items()}, "own": own}
    name = f"{_FOLDER}/{(now or datetime.now(UTC)).strftime(_TIME)}-{start}.json"
    write(
        settings.store,
        name,
        partial(Path.write_text, data=json.dumps(said, ensure_ascii=False), encoding="utf-8"),
    )
    return True


def at(settings: Settings, time: datetime) -> Catalogue | None:
    """The catalogue that outputs were published with at a time (UTC); None where none was kept by
    then, or this version of the program cannot build it."""
    before = [name for kept, _, name in _kept(settings) if kept <= time]
    if not before:
        return None
    said = json.loads(read(settings.store, before[-1]) or b"{}")
    built_in, own = (
        {name: text.encode() for name, text in said[part].items()} for part in ("built_in", "own")
    )
    try:
        return catalogue_of(built_in, own)
    except (CatalogueError, KeyError):
        return None
