"""The built-in catalogue as the tests of it see it."""

from __future__ import annotations

from schemas.catalogue import BUILT_IN, load_catalogue, read_rows
from schemas.layout import Layout

CATALOGUE = load_catalogue()


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a file of the built-in catalogue."""
    return [row.values for row in read_rows(name, (BUILT_IN / name).read_bytes())]


def layout(**keys: object) -> Layout:
    """A layout with these keys."""
    return Layout.model_validate({"name": "test"} | keys)
