"""FHIR Observations as rows: their own elements, and those of the panel, report and specimen they belong to."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable, as_rows
from schemas.layout import Layout
from tasks.readers.fhir_references import Resources
from tasks.readers.fhir_values import (
    SPECIMEN_CODES,
    comment_of,
    element_text,
    flagged,
    limits,
    many,
    named,
    no_result,
    raw_of,
    some,
    text_of,
    value_of,
)  # fmt: skip

#: what an Observation says itself, whatever the layout
_OWN = ("analyte", "code", "value", "unit", "ref_low", "ref_high", "comment")
_ELEMENT = re.compile(r"^(Observation|panel|DiagnosticReport|Specimen)((?:\.[a-zA-Z]+)+)$")
_TYPE = re.compile(r"^[A-Z][A-Za-z]{2,50}$")
#: spellings of an element that may have several types
_SUFFIXES = ("", "DateTime", "Instant", "Period")
#: Bundles in Bundles, and panels of panels
_DEEPEST = 5
#: kinds of resource that are counted by name; a name that the file makes up is none
_KINDS = frozenset(
    """
    AllergyIntolerance Binary Bundle CarePlan CareTeam Claim Composition Condition Coverage Device DiagnosticReport
    DocumentReference Encounter ExplanationOfBenefit Group ImagingStudy Immunization List Location Media Medication
    MedicationAdministration MedicationRequest MedicationStatement MessageHeader OperationOutcome Organization
    Parameters Patient Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson
    ResearchStudy ResearchSubject ServiceRequest Specimen SupplyDelivery Task
    """.split()  # noqa: SIM905
)


#: the path that stands for the reference to the specimen itself
_REFERENCE: tuple[tuple[str, ...], ...] = (("reference",),)
_NONE: frozenset[str] = frozenset()


def _path(element: str) -> tuple[tuple[str, ...], ...]:
    """`Specimen.collection.collected` -> the names that each step below the resource may have."""
    if element == "Specimen.reference":
        return _REFERENCE
    return tuple(tuple(name + suffix for suffix in _SUFFIXES) for name in element.split(".")[1:])


class Observations:
    """The rows of the Observations of an export, as they go by."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self.resources = Resources()
        self.rows: list[dict] = []
        if wrong := [name for name in layout.columns if name in _OWN]:
            raise Unreadable(f"layout {layout.name}: {', '.join(wrong)} cannot be taken from elsewhere")
        self._sources: list[tuple[str, list[tuple[str, tuple[tuple[str, ...], ...]]]]] = []
        for ours, elements in layout.columns.items():
            found = [_ELEMENT.match(text) for text in elements]
            if not all(found):
                raise Unreadable(f"layout {layout.name}: {ours} names no element such as Observation.issued")
            self._sources.append((ours, [(f[1], _path(f[0])) for f in found if f]))
        # what is left of it for an Observation without panel, report or specimen: nearly all of NDJSON
        self._alone = [(ours, path) for ours, elements in self._sources for kind, path in elements
                       if kind == "Observation" or path is _REFERENCE]  # fmt: skip
        self._constants = {k: v for k, v in layout.constants.items() if k != "value"}

    def top(self, number: int, resource: Any, otherwise: str) -> None:
        """The resource of a line or entry; one without a type is a row with the defect `otherwise`."""
        if not isinstance(resource, dict) or not _TYPE.match(text_of(resource.get("resourceType")) or ""):
            self.broken(number, "1", raw_of(resource), otherwise)
            return
        self._walk(number, "", resource, None, 0)

    def broken(self, number: int, item: str, raw: str, defect: str) -> None:
        """A record that could not be read."""
        self.rows.append({"row": number, "item": item, "raw": raw, "defect": defect})

    def _walk(self, number: int, prefix: str, resource: dict, holder: dict | None, depth: int) -> None:
        kind = text_of(resource.get("resourceType")) or ""
        contained = many(resource.get("contained")) if holder is None else []
        if contained:
            self.resources.link(resource)
        if kind == "Observation":
            self._observation(number, prefix, resource, holder or resource)
        else:
            self._skip(kind, "" if holder is None else "contained ")
        if kind == "Bundle" and depth < _DEEPEST:
            inner = Resources()
            outer, self.resources = self.resources, inner
            for entry in many(resource.get("entry")):
                inner.add(some(entry.get("resource")), entry.get("fullUrl"))
            inner.link()
            for at, entry in enumerate(many(resource.get("entry")), start=1):
                if isinstance(entry.get("resource"), dict):
                    self._walk(number, f"{prefix}entry.{at}.", entry["resource"], None, depth + 1)
                else:
                    self.reading.skip("entry without a resource")
            self.resources = outer
        for at, inside in enumerate(contained, start=1):
            self._walk(number, f"{prefix}contained.{at}.", inside, resource, depth + 1)

    def _skip(self, kind: str, prefix: str) -> None:
        self.reading.skip(f"{prefix}{kind if kind in _KINDS else 'other'} resource")

    def _observation(self, number: int, prefix: str, resource: dict, holder: dict) -> None:
        components = many(resource["component"]) if "component" in resource else []
        value = value_of(resource)
        name = no_result(resource) if value[2] else None
        if name:
            self.reading.skip(f"Observation whose value is a {name}")
            if not components:
                return
        has_own = value != (None, None, None) and not name
        if not has_own and not components and "hasMember" in resource and "dataAbsentReason" not in resource:
            self.reading.skip("panel Observation")
            return
        shared: dict = {"row": number, **self._constants, **self._around(resource, holder)}
        parts = [("value", resource, value)] if has_own or not (components or name) else []
        parts += [(str(at), part, value_of(part)) for at, part in enumerate(components, start=1)]
        notes = comment_of(resource)
        for item, part, (said, unit, defect) in parts:
            row = shared.copy()
            row["item"] = prefix + item
            row["analyte"], row["code"] = named(part.get("code"))
            row["value"] = flagged(part, said) if "interpretation" in part else said
            if "referenceRange" in part:
                row["ref_low"], row["ref_high"] = limits(part, unit)
            if unit:
                row["unit"] = unit
            if defect:
                row["defect"], row["raw"] = defect, raw_of(part)
            if part is resource:
                row["comment"] = notes
            elif said_too := comment_of(part):
                row["comment"] = f"{notes}\n{said_too}" if notes else said_too
            else:
                row["comment"] = notes
            self.rows.append(row)

    def _chain(self, resource: dict) -> tuple[list[dict], list[dict]]:
        """The panels that the Observation is in, innermost first, and the reports of it or of a panel."""
        panels: list[dict] = []
        while (panel := self.resources.panel.get(id(panels[-1] if panels else resource))) is not None:
            if len(panels) >= _DEEPEST or any(panel is known for known in (resource, *panels)):
                break
            panels.append(panel)
        reports = [self.resources.report.get(id(one)) for one in (resource, *panels)]
        return panels, [report for report in reports if report is not None][:1]

    def _specimen(
        self, holders: list[dict], reports: list[dict], within: dict
    ) -> tuple[str | None, dict | None]:
        """The reference to the specimen and what it means. A report's counts where it names one only."""
        for one in (*holders, *reports):
            said = one.get("specimen")
            reference = said[0] if isinstance(said, list) and len(said) == 1 else said
            if isinstance(reference, dict):
                text = text_of(reference.get("reference"))
                found = self.resources.find(reference, within)
                if text is None or text[0] == "#":
                    text = text_of(some(reference.get("identifier")).get("value"))
                return text, found
        return None, None

    def _around(self, resource: dict, within: dict) -> dict[str, str]:
        panels: list[dict] = []
        reports: list[dict] = []
        if self.resources.panel or self.resources.report:
            panels, reports = self._chain(resource)
        reference, specimen = self._specimen([resource, *panels], reports, within)
        out: dict[str, str] = {}
        if not panels and not reports and specimen is None:
            for ours, path in self._alone:
                if ours not in out:
                    systems = SPECIMEN_CODES if ours == "specimen" else _NONE
                    text = reference if path is _REFERENCE else self._element(resource, path, within, systems)
                    if text:
                        out[ours] = text
            return out
        holders = {"Observation": [resource], "panel": panels, "DiagnosticReport": reports,
                   "Specimen": [] if specimen is None else [specimen]}  # fmt: skip
        for ours, elements in self._sources:
            systems = SPECIMEN_CODES if ours == "specimen" else _NONE
            for kind, path in elements:
                text = None
                if path is _REFERENCE:
                    text = reference
                else:
                    for one in holders[kind]:
                        if text := self._element(one, path, within, systems):
                            break
                if text:
                    out[ours] = text
                    break
        return out

    def _element(
        self, holder: dict, path: tuple[tuple[str, ...], ...], within: dict, systems: frozenset
    ) -> str | None:
        """The text of an element; each step of the path has the names that it may have."""
        value: Any = holder
        for names in path:
            if isinstance(value, list):
                value = value[0] if value else None
            if not isinstance(value, dict):
                return None
            for name in names:
                if name in value:
                    value = value[name]
                    break
            else:
                return None
        if isinstance(value, str):
            return value or None
        if (
            not systems
            and isinstance(value, dict)
            and (text := value.get("reference")).__class__ is str
            and text[:1] != "#"
            and text[:9] != "urn:uuid:"
        ):
            return text or None
        text = element_text(value, systems)
        if text and isinstance(value, dict) and (text[0] == "#" or text.startswith("urn:uuid:")):
            # the name of a contained resource means something in this one only, and senders make a new UUID
            # for each Bundle: what is the same in all exports is the identifier
            told = element_text(some(self.resources.find(value, within)).get("identifier"))
            return told or (None if text[0] == "#" else text)
        return text

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self.rows = self.rows, []
        told = set().union(*rows)
        frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in ROWS_SCHEMA if name in told},
                             schema={name: kind for name, kind in ROWS_SCHEMA.items() if name in told})  # fmt: skip
        return as_rows(frame)
