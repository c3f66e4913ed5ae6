"""Errors that may reach Prefect's database and logs: what, where and how to mend it, never a cell value.

Polars, Pandera and the operating system quote values and file names in their messages. Only our
own errors keep their text; of all others the kind and the place in our code remain.
"""

from __future__ import annotations

import functools
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_ROOT = Path(__file__).parents[1]
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
_OURS = [_ROOT / name for name in ("flows", "tasks", "tasks/readers", "schemas")]


class StageFailed(Exception):
    """A stage of a run could not do its work."""


class StorageFailed(StageFailed):
    """The storage failed: the one kind of failure that trying again can help."""


def _system_error(error: Exception) -> int | None:
    """The number of the operating system's error, also where Polars, delta-rs or obstore wrap it in one of
    their own; 0 where they say no more than that the storage failed."""
    if isinstance(error, OSError):
        return error.errno or 0
    origin = type(error).__module__.split(".")[0]
    if origin in ("polars", "deltalake", "obstore") and (said := _SYSTEM_ERROR.search(str(error))):
        return int(said[1])
    if origin == "obstore" or type(error).__name__ in ("DeltaError", "LostRaces"):
        return 0
    return None


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in ("flows", "tasks", "schemas")


def said_safely(stage: str, error: Exception) -> str:
    """What may be said of an error: for ours its text, for others the kind and where it came up."""
    if _is_ours(error):
        return str(error)
    places = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent in _OURS]
    where = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    if number := _system_error(error):
        return f"{stage}: {os.strerror(number)}{where}; mend the storage and run again"
    return f"{stage}: {type(error).__name__}{where}; the text of the error may quote data and is not shown"


def quiet(stage: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function raise nothing but `StageFailed` with a text that is safe to store."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except StageFailed:
                raise
            except Exception as error:
                said = said_safely(stage, error)
                kind = StageFailed if _system_error(error) is None else StorageFailed
                if os.environ.get("NEUROBALANCE_DEBUG"):
                    traceback.print_exc()
            # outside the except block, so that the original is not chained and stored with it
            raise kind(said)

        return run

    return decorate
