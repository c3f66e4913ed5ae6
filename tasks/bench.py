"""What every export of a run is read with, and how one of them is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.catalogue import Catalogue, load_catalogue
from schemas.layout import Layout
from schemas.layout_files import load_layouts
from schemas.settings import Lab, Settings
from schemas.store import local_folder
from tasks import readers
from tasks.archive import Arrival, Export, archived_name, arrival
from tasks.standardise import VERSION


@dataclass
class Reading:
    """How one export is read: the choice that the reading hash stands for."""

    layout: Layout | None
    reason: str | None
    reading_hash: str
    considered: list[tuple[str, bool, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """An export, where its bytes stand, and how it arrived."""

    export: Export
    path: Path
    arrival: Arrival


@dataclass
class Bench:
    """What every export of a run is read with."""

    settings: Settings
    catalogue: Catalogue
    layouts: dict[str, Layout]
    labs: dict[str, Lab]

    @classmethod
    def of(cls, settings: Settings) -> Bench:
        """Catalogue, layouts and labs as they stand now. Errors name the file and the mend."""
        with (
            local_folder(settings.store, "layouts", ".toml") as own_layouts,
            local_folder(settings.store, "catalogue", ".csv") as own_catalogue,
        ):
            catalogue = load_catalogue(own_catalogue if own_catalogue.is_dir() else None)
            layouts = load_layouts(own_layouts, problems=catalogue.problems_of)
        return cls(settings, catalogue, layouts, settings.labs())

    def lab(self, name: str) -> Lab:
        """What labs.toml says about the lab."""
        return self.labs.get(name, Lab())

    @contextmanager
    def source(self, export: Export) -> Iterator[Source]:
        """An archived export as a source of rows, for as long as the context lasts. Raises NotArchived."""
        noted = arrival(self.settings, export)
        with self.settings.store.local(archived_name(export)) as path:
            yield Source(export, path, noted)

    def reading_of(self, source: Source, explain: bool = False) -> Reading:
        """Choose the layout from the head of the bytes; `explain`: tell also what the others lack."""
        lab = self.lab(source.export.lab)
        choice = readers.choose(
            source.path, self.layouts, source.export.lab, lab.layouts, self.knows, explain
        )
        if choice.layout is None:
            # a file that nobody reads is tried again when there is another layout, not before
            said = "".join(layout.digest for _, layout in sorted(self.layouts.items())) + repr(lab.layouts)
        else:
            said = choice.layout.digest + (lab.timezone or "")
        text = f"{said}|{self.catalogue.reading_hash}|{VERSION}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Reading(choice.layout, choice.reason, digest, choice.considered)

    def knows(self, text: str) -> bool:
        """Whether a header names an analyte or a metric (ambiguous ones count: they are refused by name later)."""
        layout = self.layouts["generic"]
        problem = self.catalogue.resolve_analyte(text, None, layout).problem
        return problem is None or problem.startswith("ambiguous")
