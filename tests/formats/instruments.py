"""What the tests of instruments' exports share: reading bytes, and what standardising makes of a case."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import polars as pl

from schemas.catalogue import load_catalogue
from schemas.export import ROWS_SCHEMA, Unreadable
from schemas.layout import Layout
from schemas.layout_files import load_layouts
from tasks.codes import decoded
from tasks.meanings import Context
from tasks.readers import READERS, read
from tasks.standardise import standardise
from tasks.validate import judge
from tests.formats.golden import is_analyte, run, source
from tests.unit.rows import of_export

LAYOUTS = load_layouts()
FOLDER = Path(tempfile.mkdtemp())
_NUMBERS = itertools.count()


def read_bytes(content: bytes, layout: Layout) -> tuple[pl.DataFrame, dict[str, int], str | None]:
    """Rows, skips and the reason why the content is not read, as `layout` reads it."""
    path = FOLDER / f"export-{next(_NUMBERS)}"
    path.write_bytes(content)
    try:
        reading = read(path, layout, is_analyte)
        rows = pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *reading.batches])
        return rows, reading.skipped, None
    except Unreadable as error:
        return pl.DataFrame(schema=ROWS_SCHEMA), {}, str(error)
    finally:
        path.unlink()


def seen_by(content: bytes) -> list[str]:
    """The readers that know the content for certain."""
    path = FOLDER / f"export-{next(_NUMBERS)}"
    path.write_bytes(content)
    glances = {name: reader.glance(path) for name, reader in READERS.items()}
    path.unlink()
    return [name for name, glance in glances.items() if glance is not None and glance.signature]


def judged(case: Path, **said: object) -> pl.DataFrame:
    """The rows of a golden case as the flow would judge them, by its layout with what `said` adds."""
    base = load_layouts(case)[run(case).facts["layout"]]
    keys = base.model_dump() | said
    for name in ("constants", "times", "values"):
        keys[name] = base.model_dump()[name] | dict(said.get(name, {}))  # type: ignore[call-overload]
    layout = Layout.model_validate(keys)
    context = Context("h", layout, load_catalogue(), "Europe/Vienna")
    rows, _, reason = read_bytes(source(case).read_bytes(), layout)
    assert reason is None
    return decoded(judge(standardise(of_export(rows), context)))
