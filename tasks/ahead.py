"""Several things at a time, where none waits for the one before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """`items` (none of which is None), each of them made in a thread while the one before it is worked on.

    What making one raises is raised here.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def beside(make: Callable[[S], T], items: Iterable[S], together: int) -> Iterator[T]:
    """What `make` makes of each of `items`, in their order; `together` of them are made beside one another, and
    beside what is done with the one before. What making one raises is raised here."""
    with ThreadPoolExecutor(together) as threads:
        coming: deque[Future[T]] = deque()
        for item in items:
            coming.append(threads.submit(make, item))
            if len(coming) > together:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
