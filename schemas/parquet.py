"""What Parquet files say of their types."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


def said_schema(schema: pyarrow.Schema) -> dict[str, str]:
    """The metadata by which a file says that it holds `schema`, as Arrow's own writer keeps it there, so that texts
    that are written from codes are read as texts."""
    return {"ARROW:schema": b64encode(schema.serialize().to_pybytes()).decode()}
