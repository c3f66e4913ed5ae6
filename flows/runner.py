"""Who does the stages of a flow: threads of this machine, or a Dask cluster of many."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from prefect import Task
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from schemas.settings import Settings, SettingsError

#: Stages at a time in threads: one reads while another writes. Each uses all cores where it can, so more
#: would only take more memory.
_THREADS = 2
#: Batches that are handed to a cluster before the first of them is committed.
_ON_A_CLUSTER = 64


def task_runner() -> TaskRunner[Any]:
    """The task runner that the settings ask for. Raises SettingsError where it cannot be used."""
    address = Settings().dask_address
    if address is None:
        return ThreadPoolTaskRunner(max_workers=_THREADS)
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise SettingsError(
            "NEUROBALANCE_DASK_ADDRESS is set, but prefect-dask is not installed: install neurobalance[dask]"
        ) from None
    if not os.environ.get("PREFECT_API_URL"):
        # otherwise each worker would start a server of its own, and leave it behind
        raise SettingsError(
            "NEUROBALANCE_DASK_ADDRESS is set: a cluster needs a Prefect server that all its workers reach, "
            "so set PREFECT_API_URL, for the workers too"
        )
    return DaskTaskRunner(address=address)


class Hands(Protocol):
    """Does stages, and says how many may wait for the first to be done."""

    @property
    def ahead(self) -> int:
        """How many are started before the first is waited for."""

    def start(self, stage: Task[..., Any], *given: Any) -> Callable[[], Any]:
        """Start a stage; what is returned waits for its result."""

    def now(self, stage: Task[..., Any], *given: Any) -> Any:
        """Do a stage in this process."""


class ByPrefect:
    """Stages as tasks of a Prefect flow."""

    def __init__(self) -> None:
        self._threads = Settings().dask_address is None

    @property
    def ahead(self) -> int:
        """As many as the runner can make use of."""
        return _THREADS if self._threads else _ON_A_CLUSTER

    def start(self, stage: Task[..., Any], *given: Any) -> Callable[[], Any]:
        """Hand it to the flow's task runner."""
        # what is quoted does not survive the way to a worker: Prefect's annotation pickles as one around a tuple
        return stage.submit(*(map(quote, given) if self._threads else given)).result

    def now(self, stage: Task[..., Any], *given: Any) -> Any:
        """Run the task where the flow runs."""
        # quoted: to search what is given for futures would cost more than the stage itself
        return stage(*map(quote, given))


class Plainly:
    """Stages as functions, one after another, without a Prefect server."""

    ahead = 0

    def start(self, stage: Task[..., Any], *given: Any) -> Callable[[], Any]:
        """Do it at once."""
        done = stage.fn(*given)
        return lambda: done

    def now(self, stage: Task[..., Any], *given: Any) -> Any:
        """Do it."""
        return stage.fn(*given)


def in_order(
    hands: Hands, stage: Task[..., Any], calls: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each call with its result, in the order of the calls; the next ones are under way meanwhile."""
    waiting: deque[tuple[tuple[Any, ...], Callable[[], Any]]] = deque()
    for call in calls:
        waiting.append((call, hands.start(stage, *call)))
        if len(waiting) > hands.ahead:
            first, result = waiting.popleft()
            yield first, result()
    while waiting:
        first, result = waiting.popleft()
        yield first, result()
