"""Files that are cut off or mangled: what is read of them is what the whole file says, or it has a reason."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from schemas.catalogue import load_catalogue
from schemas.export import ROWS_SCHEMA, Unreadable
from schemas.layout import Layout
from schemas.layout_files import load_layouts
from tasks.readers import choose, read

LAYOUTS = load_layouts()
CATALOGUE = load_catalogue()
STEP = 64


def knows(text: str) -> bool:
    """Whether a header names an analyte, as the flow asks it."""
    problem = CATALOGUE.resolve_analyte(text, None, LAYOUTS["generic"]).problem
    return problem is None or problem.startswith("ambiguous")


def rows_of(path: Path, layout: Layout | None = None) -> tuple[pl.DataFrame | None, str]:
    """The rows of a file; without them the reason why it is not read."""
    if layout is None:
        choice = choose(path, LAYOUTS, "lab", is_analyte=knows)
        if choice.layout is None:
            assert choice.reason
            return None, choice.reason
        layout = choice.layout
    try:
        reading = read(path, layout, knows)
        return pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *reading.batches]), " | ".join(reading.notes)
    except Unreadable as error:
        return None, str(error)


def reason_of(tmp_path: Path, content: bytes) -> str:
    """Why a file of these bytes is not read."""
    path = tmp_path / "export"
    path.write_bytes(content)
    rows, reason = rows_of(path)
    assert rows is None
    return reason


def cut_everywhere(
    tmp_path: Path, content: bytes, step: int = STEP, refused: str | None = None
) -> dict[str, int]:
    """Cut `content` at every `step`-th byte: each row that has no defect is one of the whole file, or has a unit
    that nobody knows because it says `refused`. Gives how often rows were read, and how often each reason stood
    for the file."""
    path = tmp_path / "cut"
    path.write_bytes(content)
    whole, _ = rows_of(path)
    assert whole is not None
    right = set(whole.rows())
    seen: dict[str, int] = {}
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        rows, reason = rows_of(path)
        if rows is None:
            seen[reason] = seen.get(reason, 0) + 1
            continue
        seen["rows"] = seen.get("rows", 0) + 1
        doubtful = (
            pl.col("unit").fill_null("").str.contains(refused, literal=True) if refused else pl.lit(False)
        )
        wrong = [
            row for row in rows.filter(pl.col("defect").is_null() & ~doubtful).rows() if row not in right
        ]
        assert not wrong, f"cut at byte {size}: {wrong[0]}"
    return seen


def mangled(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """`content` with pieces replaced: (where, how many bytes, by what)."""
    for at, length, text in edits:
        at %= len(content) + 1
        content = content[:at] + text + content[at + length :]
    return content


def is_sound(path: Path, secret: str | None = None) -> None:
    """The file is read or has a reason, and every row is whole; the reason does not quote `secret`."""
    rows, reason = rows_of(path)
    if rows is None:
        assert secret is None or secret not in reason
        return
    assert not rows.select("row", "item").is_duplicated().any()
    assert rows["row"].null_count() == rows["item"].null_count() == 0
    told = rows.filter(pl.col("defect").is_null())
    assert told["value"].null_count() == 0
