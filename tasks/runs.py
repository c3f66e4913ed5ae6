"""The note on the last run that a home keeps, for `status`: times, counts, and what was said of a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from schemas.settings import Settings
from schemas.store import read, write

RUNNING, COMPLETED, FAILED = "running", "completed", "failed"


_NAME = "last-run.json"


def last_run(settings: Settings) -> dict[str, Any] | None:
    """The note: `state`, `began`, `ended` (ISO 8601, UTC) and `counts`; None before the first run."""
    text = read(settings.store, _NAME)
    return json.loads(text) if text else None


def _note(settings: Settings, said: dict[str, Any]) -> None:
    text = json.dumps(said, indent=1)
    write(settings.store, _NAME, lambda fresh: fresh.write_text(text, "utf-8"))


@contextmanager
def noted(settings: Settings) -> Iterator[dict[str, int]]:
    """Note that a run began, and how it ended; the body fills the counts.

    A run that was killed stays noted as running, which `status` tells with the time it began.
    """
    said: dict[str, Any] = {"state": RUNNING, "began": _now(), "ended": None, "counts": {}}
    _note(settings, said)
    counts: dict[str, int] = {}
    try:
        yield counts
    except BaseException:
        _note(settings, said | {"state": FAILED, "ended": _now(), "counts": counts})
        raise
    _note(settings, said | {"state": COMPLETED, "ended": _now(), "counts": counts})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
