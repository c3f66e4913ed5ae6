"""Labs from which nothing new has come for longer than they say is usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from schemas.settings import Lab


@dataclass(frozen=True)
class Silent:
    """A lab, when its last new export arrived (UTC; None: never), and how many hours of silence it allows."""

    lab: str
    last: datetime | None
    allowed_hours: float


def silent_labs(labs: Mapping[str, Lab], receipts: pl.DataFrame, now: datetime) -> list[Silent]:
    """The labs that are silent at `now` (UTC); those without `silent_after_hours` never are.

    receipts: columns lab, received_at (first arrival, UTC).
    """
    last = dict(receipts.group_by("lab").agg(pl.col("received_at").max()).iter_rows())
    out = []
    for name, lab in sorted(labs.items()):
        if lab.silent_after_hours is None:
            continue
        arrived = last.get(name)
        if arrived is None or now - arrived > timedelta(hours=lab.silent_after_hours):
            out.append(Silent(name, arrived, lab.silent_after_hours))
    return out
