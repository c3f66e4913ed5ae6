"""Which layout fits an export, from what the head of the file shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.header_row import best, nearest
from tasks.readers.table import Glance


@dataclass(frozen=True)
class Choice:
    """The layout chosen, or the reason why there is none, and what became of each that was considered."""

    layout: Layout | None
    reason: str | None
    considered: list[tuple[str, bool, str]] = field(default_factory=list)  # name, fits, why


#: readers that stand for several containers: a table is a table in a text file and in a workbook
FAMILIES = {
    "table": ("delimited", "workbook"),
    "dataset": ("xpt", "dataset_json", "workbook", "delimited"),
    "lcmodel": ("lcmodel_table", "lcmodel_csv"),
    "mwtab": ("mwtab_text", "mwtab_json"),
}


def _fit(
    layout: Layout, glances: Mapping[str, Glance | None], is_analyte: IsAnalyte, explain: bool
) -> tuple[bool, str]:
    """Whether the layout fits, and why; `explain`: also what is lacking, which takes as long as all the rest."""
    seen = (glances.get(reader) for reader in FAMILIES.get(layout.reader, (layout.reader,)))
    glance = next((glance for glance in seen if glance is not None), None)
    if glance is None:
        return False, f"not what the reader {layout.reader} reads"
    heads = [] if layout.detect.always else glance.heads(layout)
    if layout.detect.always:
        why = f"the reader {layout.reader} reads it"
    elif not heads and glance.signature and not layout.detect.headers:
        why = "the container is the one of the layout"
    elif (found := best(heads, layout, is_analyte)) is not None:
        why = f"headers in row {found[1]}"
    elif explain:
        # of all records, the one that comes nearest tells most
        lacks = nearest(heads, layout, is_analyte)
        return False, "no headers" if lacks is None else f"no headers for {', '.join(lacks)}"
    else:
        return False, "other headers"
    # asked last: an expression may take long over the lines of a table
    starts = layout.detect.starts
    if starts is not None and not re.search(starts, glance.text, re.MULTILINE):
        return False, "the first lines are others"
    return True, why


def _rank(layout: Layout, lab: str) -> tuple[int, bool]:
    """How specific a layout is: by its own marks, by the usual headers of a long table, of a wide one, by
    nothing at all; then whether it is the lab's own."""
    if layout.detect.always and layout.detect.starts is None:
        level = 0
    elif layout.detect.starts is not None or layout.detect.headers:
        level = 3
    else:
        level = 1 if layout.wide is not None else 2
    return level, lab in layout.labs


def _ancestors(layout: Layout, layouts: Mapping[str, Layout]) -> set[str]:
    """The names of all layouts that this one extends."""
    out: set[str] = set()
    parent = layout.extends
    while parent is not None and parent in layouts and parent not in out:
        out.add(parent)
        parent = layouts[parent].extends
    return out


def decide(
    glances: Mapping[str, Glance | None],
    offered: Sequence[Layout],
    layouts: Mapping[str, Layout],
    lab: str,
    is_analyte: IsAnalyte,
    explain: bool,
) -> Choice:
    """The one layout that fits best among those `offered`. `glances`: reader -> what it saw. `explain`: tell what
    the others lack."""
    if any(glance is not None and glance.signature for glance in glances.values()):
        # a container that is known for certain leaves nothing to those that take any text
        glances = {name: g if g is not None and g.signature else None for name, g in glances.items()}
    considered = []
    fitting: dict[str, Layout] = {}
    for layout in offered:
        fits, why = _fit(layout, glances, is_analyte, explain)
        considered.append((layout.name, fits, why))
        if fits:
            fitting[layout.name] = layout
    extended = {name for layout in fitting.values() for name in _ancestors(layout, layouts)}
    left = [layout for name, layout in fitting.items() if name not in extended]
    if not left:
        return Choice(None, "no layout fits", considered)
    top = max(_rank(layout, lab) for layout in left)
    winners = sorted((layout for layout in left if _rank(layout, lab) == top), key=lambda layout: layout.name)
    if len(winners) > 1:
        names = ", ".join(layout.name for layout in winners)
        return Choice(None, f"two layouts fit equally: {names} (pin one for the lab)", considered)
    return Choice(winners[0], None, considered)
