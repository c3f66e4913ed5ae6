"""What the texts of an export stand for: analytes, specimens, units, status and role.

Pure Python, meant for the distinct texts of an export. No problem that is told holds a cell value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.entries import Analyte, Code, Guard, Metric, Name, Resolved, Specimen
from schemas.names import folded, without_ratio
from schemas.toml_lines import KeyPath
from schemas.unit_text import ratio_factor, read_unit
from schemas.units import Unit, UnitTables, canonical

if TYPE_CHECKING:
    from schemas.layout import Layout

UNKNOWN_ANALYTE = "unknown analyte"
AMBIGUOUS_ANALYTE = "ambiguous analyte"
DISAGREEMENT = "name and code disagree"

_LOINC = re.compile(r"^(?:LOINC|LN)?[:|\s]*(\d{1,7}-\d)$", re.IGNORECASE)


@dataclass(frozen=True)
class Catalogue:
    """All of it. The public dicts are keyed by id (`loinc` by code); nothing here is ever changed."""

    analytes: dict[str, Analyte]
    specimens: dict[str, Specimen]
    metrics: dict[str, Metric]
    guards: tuple[Guard, ...]
    loinc: dict[str, Code]
    units: UnitTables
    reading_hash: str
    metric_hash: str
    _names: dict[str, Name] = field(repr=False)  # folded text -> analyte
    _scoped: dict[str, dict[str, str]] = field(repr=False)  # vocabulary -> folded text -> analyte id
    _ambiguous: dict[str, tuple[str, ...]] = field(repr=False)  # folded text -> candidates
    _metric_names: dict[str, tuple[str, ...]] = field(repr=False)  # folded text -> metric ids
    _reported: frozenset[str] = field(repr=False)  # metrics that labs print: those with a synonym
    _specimen_names: dict[str, str] = field(repr=False)
    _statuses: dict[str, str] = field(repr=False)
    _roles: dict[str, str] = field(repr=False)

    # ---- analytes and reported metrics

    def resolve_analyte(
        self, text: str | None, code: str | None, layout: Layout | None = None, specimen: str | None = None
    ) -> Resolved:
        """What was measured, from its name and its LOINC or local code.

        The layout decides first; then a LOINC code, with which the name must agree (of two forms
        of one analyte the more specific counts); then the vocabularies that the layout names, then
        the refusal of ambiguous texts, the general synonyms and the names of metrics. `specimen`
        (an id) decides between metrics that differ only in it. Codes nobody knows do no harm where
        the text is known.
        """
        text, code = (text or "").strip(), (code or "").strip()
        mapped = _by_layout(layout.analytes, (text, code)) if layout is not None else None
        loinc_code = _LOINC.match(code)
        known_code = self.loinc.get(loinc_code[1]) if loinc_code else None
        implied = known_code.specimen if known_code else None
        if mapped is not None:
            return self._with_kind(mapped, implied)
        named = self._by_text(text, layout, specimen)
        if known_code is None:
            return named
        coded = self._with_kind(known_code.id, implied)
        if named.id is None:
            if named.candidates and known_code.id not in named.candidates:
                return Resolved(None, None, DISAGREEMENT, implied)
            return coded
        both = self._more_specific(named.id, known_code.id)
        if both is None:
            return Resolved(None, None, DISAGREEMENT, implied, named.specimen_from_text)
        return self._with_kind(both, implied)._replace(specimen_from_text=named.specimen_from_text)

    def resolve_reported(self, text: str, specimen: str | None) -> Resolved:
        """The metric that a lab prints as `text` (`Phe/Tyr`, `KTR`, `NE:EPI ratio`) in `specimen`."""
        key = folded(text)
        found = self._metric_names.get(key) or self._metric_names.get(without_ratio(key))
        found = found or self._by_sides(key)
        here = tuple(m for m in found if specimen is None or self._is_defined_in(m, specimen))
        if len(here) == 1:
            return Resolved(here[0], "metric")
        if not found:
            return Resolved(None, None, UNKNOWN_ANALYTE)
        if not here:
            return Resolved(None, None, f"not defined in this specimen: {_listed(found)}", candidates=found)
        return Resolved(None, None, f"{AMBIGUOUS_ANALYTE}: could be {_listed(here)}", candidates=here)

    def _by_text(self, text: str, layout: Layout | None, specimen: str | None) -> Resolved:
        """What `text` alone stands for: scoped vocabularies, ambiguity, synonyms, metrics."""
        key = folded(text)
        if not key:
            return Resolved(None, None, UNKNOWN_ANALYTE)
        vocabularies = layout.vocabulary if layout is not None else ()
        scoped = tuple(dict.fromkeys(t[key] for v in vocabularies if key in (t := self._scoped.get(v, {}))))
        if len(scoped) == 1:
            return Resolved(scoped[0], "analyte")
        candidates = scoped or self._ambiguous.get(key, ())
        if candidates:
            named = _listed(candidates if len(candidates) > 1 else (*candidates, "something else"))
            return Resolved(None, None, f"{AMBIGUOUS_ANALYTE}: could be {named}", candidates=candidates)
        name = self._names.get(key)
        if name is not None:
            return Resolved(name.id, "analyte", specimen_from_text=name.specimen)
        return self.resolve_reported(text, specimen)

    def _by_sides(self, key: str) -> tuple[str, ...]:
        """The metrics of one analyte against another whose names `key` spells as `a/b`."""
        sides = without_ratio(key).split("/")
        names = [self._names.get(side) for side in sides]
        if len(names) != 2 or names[0] is None or names[1] is None:
            return ()
        wanted = ((names[0].id,), (names[1].id,))
        return tuple(
            metric.id
            for metric in self.metrics.values()
            if metric.id in self._reported
            and (formula := metric.formula) is not None
            and formula.kind == "ratio"
            and (formula.numerator, formula.denominator) == wanted
        )

    def _with_kind(self, found: str, implied: str | None) -> Resolved:
        if found in self.analytes:
            return Resolved(found, "analyte", None, implied)
        if found in self._reported:
            return Resolved(found, "metric", None, implied)
        return Resolved(None, None, UNKNOWN_ANALYTE, implied)  # a layout that names what does not exist

    def _more_specific(self, one: str, other: str) -> str | None:
        """The more specific of two ids where one is a form of the other, else None."""
        if one == other:
            return one
        for specific, general in ((one, other), (other, one)):
            if specific in self.analytes and self.analytes[specific].form_of == general:
                return specific
        return None

    # ---- specimens, units, status, role

    def resolve_specimen(self, text: str | None, layout: Layout | None = None) -> str | None:
        """The specimen id that `text` stands for, or None."""
        text = (text or "").strip()
        if layout is not None and (mapped := _by_layout(layout.specimens, (text,))) is not None:
            return mapped if mapped in self.specimens else None
        return self._specimen_names.get(folded(text)) if text else None

    def specimens_agree(self, one: str, other: str) -> bool:
        """Whether two specimen ids can be the same one, said more or less specifically."""
        return one in self._with_ancestors(other) or other in self._with_ancestors(one)

    def _with_ancestors(self, specimen: str | None) -> list[str]:
        chain = []
        while specimen is not None and specimen in self.specimens:
            chain.append(specimen)
            specimen = self.specimens[specimen].form_of
        return chain

    def _is_defined_in(self, metric: str, specimen: str) -> bool:
        return specimen in self.metrics[metric].specimens

    def resolve_unit(self, text: str | None, layout: Layout | None = None) -> tuple[Unit | None, str | None]:
        """The unit that `text` stands for, or None and the problem."""
        return read_unit(_unit_text(text, layout), self.units)

    def unit_fits(self, analyte: str, unit: Unit) -> bool:
        """Whether `analyte` can have `unit` at all: a volume is no concentration, nor the reverse."""
        wanted = self.analytes[analyte].measured_as
        return unit.kind == wanted if wanted else (unit.basis, unit.kind) != ("amount", unit.kind)

    def conversion(self, analyte: str, unit: Unit) -> tuple[float, str] | None:
        """Factor and canonical unit for results of `analyte` in `unit`, None where it cannot be."""
        if not self.unit_fits(analyte, unit):
            return None
        return canonical(unit, self.analytes[analyte].molar_mass)

    def reported_factor(self, metric: str, text: str | None, layout: Layout | None = None) -> float | None:
        """What to multiply a ratio printed in the unit `text` with, to have it in the metric's unit.

        None where the text does not say it: a ratio that has a scale needs its unit, and a ratio
        of masses is not the ratio of amounts.
        """
        factor = ratio_factor(_unit_text(text, layout), self.metrics[metric].unit, self.units)
        return None if factor is None else float(factor)

    def status(self, text: str | None) -> str | None:
        """preliminary, final, corrected or withdrawn, or None where `text` is none of them."""
        return self._statuses.get(folded(text)) if text else None

    def role(self, text: str | None) -> str | None:
        """sample, qc, calibrator, blank, internal standard, qualifier, or None where `text` is none of them."""
        return self._roles.get(folded(text)) if text else None

    # ---- guards and layouts

    def guard(self, analyte: str, specimen: str) -> Guard | None:
        """The guard on `analyte` in `specimen`, if there is one."""
        return next((g for g in self.guards if g.analyte == analyte and specimen in g.specimens), None)

    def problems_of(self, layout: Layout) -> list[tuple[KeyPath, str]]:
        """What `layout` says that this catalogue cannot follow: the key, and what is wrong with it."""
        out: list[tuple[KeyPath, str]] = [
            (("analytes", text), f"{found!r} is no analyte or metric; see `neurobalance catalogue analytes`")
            for text, found in layout.analytes.items()
            if found not in self.analytes and found not in self._reported
        ]
        out += [
            (("specimens", text), f"{found!r} is no specimen; see `neurobalance catalogue specimens`")
            for text, found in layout.specimens.items()
            if found not in self.specimens
        ]
        for text, found in layout.units.items():
            if (problem := read_unit(found, self.units)[1]) is not None:
                out.append((("units", text), f"{found!r}: {problem}; see `neurobalance catalogue units`"))
        out += [
            (("vocabulary", number), f"there is no {name!r}; there are {', '.join(self._scoped)}")
            for number, name in enumerate(layout.vocabulary)
            if name not in self._scoped
        ]
        return out


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names)


def _by_layout(mapping: Mapping[str, str], texts: Iterable[str]) -> str | None:
    """What a layout's table says for the first of `texts` that it knows."""
    for text in texts if mapping else ():
        if text in mapping:
            return mapping[text]
        if key := folded(text):
            for known, found in mapping.items():
                if folded(known) == key:
                    return found
    return None


def _unit_text(text: str | None, layout: Layout | None) -> str:
    """The unit text that the layout puts in place of `text`; exactly, because in units case counts."""
    text = (text or "").strip()
    return layout.units.get(text, text) if layout is not None else text
