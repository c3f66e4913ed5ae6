"""Units: what a value in one is of, and the factor to the canonical unit of its basis.

Factors are exact fractions, so that two ways of writing one unit give the same number. What a text means is
read in `schemas.unit_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

#: g/mol, C4H7N3O; the same number as in the catalogue of analytes (a test holds them equal).
CREATININE_MOLAR_MASS = Fraction("113.12")

#: basis -> what a factor refers to: the denominator, and with substance, mass and arbitrary amounts
#: the canonical unit and how many of it make one umol, ug or m[IU] per that denominator.
_PER_MMOL_CREATININE = CREATININE_MOLAR_MASS / 1000
CANONICAL: dict[tuple[str, str], tuple[str, Fraction]] = {
    ("per_volume", "substance"): ("umol/L", Fraction(1)),
    ("per_volume", "mass"): ("ug/L", Fraction(1)),
    ("per_volume", "arbitrary"): ("m[IU]/L", Fraction(1)),
    ("per_creatinine", "substance"): ("umol/mmol{creat}", _PER_MMOL_CREATININE),
    ("per_creatinine", "mass"): ("ug/g{creat}", Fraction(1)),
    ("per_creatinine", "arbitrary"): ("m[IU]/g{creat}", Fraction(1)),
    ("per_wet_mass", "substance"): ("nmol/g{wet}", Fraction(1000)),
    ("per_wet_mass", "mass"): ("ng/g{wet}", Fraction(1000)),
    ("per_wet_mass", "arbitrary"): ("m[IU]/g{wet}", Fraction(1)),
    ("per_protein", "substance"): ("nmol/mg{prot}", Fraction(1000)),
    ("per_protein", "mass"): ("ng/mg{prot}", Fraction(1000)),
    ("per_protein", "arbitrary"): ("m[IU]/mg{prot}", Fraction(1)),
    ("per_platelets", "substance"): ("nmol/10*9{plt}", Fraction(1000)),
    ("per_platelets", "mass"): ("ng/10*9{plt}", Fraction(1000)),
    ("per_platelets", "arbitrary"): ("m[IU]/10*9{plt}", Fraction(1)),
    ("per_hour", "substance"): ("umol/h", Fraction(1)),
    ("per_hour", "mass"): ("ug/h", Fraction(1)),
    ("per_hour", "arbitrary"): ("m[IU]/h", Fraction(1)),
    ("per_hour", "volume"): ("L/h", Fraction(1)),
    ("per_24h", "substance"): ("umol/(24.h)", Fraction(1)),
    ("per_24h", "mass"): ("ug/(24.h)", Fraction(1)),
    ("per_24h", "arbitrary"): ("m[IU]/(24.h)", Fraction(1)),
    ("per_24h", "volume"): ("L/(24.h)", Fraction(1)),
    ("mrs_water", "institutional"): ("{i.u.}", Fraction(1)),
    ("mrs_per_tcr", "number"): ("1/{tCr}", Fraction(1)),
    ("response", "area"): ("{area}", Fraction(1)),
    ("response", "area ratio"): ("{area_ratio}", Fraction(1)),
    ("response", "comparable area"): ("{area,comparable}", Fraction(1)),
    ("response", "comparable area ratio"): ("{area_ratio,comparable}", Fraction(1)),
    ("amount", "number"): ("1", Fraction(1)),
    ("amount", "volume"): ("L", Fraction(1)),
    ("amount", "time"): ("h", Fraction(1)),
}


@dataclass(frozen=True)
class Unit:
    """One unit.

    `ucum` is valid UCUM that keeps the annotation; `factor` times a value is umol (substance), ug
    (mass), m[IU] (arbitrary), L (volume), h (time), i.u. or 1 per L, g of creatinine, g of wet mass,
    mg of protein, 10*9 platelets, h, 24 h or total creatine, as `basis` says.
    """

    ucum: str
    basis: str
    kind: str
    factor: Fraction


class Amount(NamedTuple):
    """What stands before the `/`."""

    ucum: str
    kind: str
    factor: Fraction


class Denominator(NamedTuple):
    """What stands after the `/`."""

    ucum: str
    basis: str
    factor: Fraction
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class UnitTables:
    """The unit half of the catalogue, and the spellings that lead to it."""

    amounts: Mapping[str, Amount]  # ucum -> amount
    denominators: Mapping[tuple[str, str], Denominator]  # (unit, annotation) -> denominator
    whole: Mapping[str, str] = field(default_factory=dict)  # text -> ucum of the whole unit
    amount_spellings: Mapping[str, str] = field(default_factory=dict)
    denominator_spellings: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)  # folded word -> annotation


def canonical(unit: Unit, molar_mass_g_per_mol: float | None) -> tuple[float, str] | None:
    """The factor to multiply a value in `unit` with, and the canonical unit it is then in.

    Mass becomes amount of substance where there is a molar mass. The canonical unit alone tells
    basis and kind. None where there is no canonical unit.
    """
    kind, factor = unit.kind, unit.factor
    if kind == "mass" and molar_mass_g_per_mol:
        kind, factor = "substance", factor / Fraction(str(molar_mass_g_per_mol))
    found = CANONICAL.get((unit.basis, kind))
    if found is None:
        return None
    return float(factor * found[1]), found[0]


def as_comparable(unit: Unit) -> Unit:
    """A peak area of which a layout says that it may be ratioed with the others of its sample."""
    if unit.basis != "response" or unit.kind.startswith("comparable "):
        return unit
    ucum = unit.ucum.replace("}", ",comparable}")
    return Unit(ucum, unit.basis, f"comparable {unit.kind}", unit.factor)
