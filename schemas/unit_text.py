"""What the text of a unit says: every way that labs write one, and why a text is no unit.

The basis (per volume, per creatinine, ...) is read from the text and its annotation before any unit
library sees it: to a library `mg/g{creat}` has no dimension and `ug/(12.h)` is `ug/(24.h)`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from fractions import Fraction

from schemas.names import folded
from schemas.units import CANONICAL, Amount, Denominator, Unit, UnitTables

NO_UNIT = "no unit"
UNKNOWN_UNIT = "unknown unit"
UNIT_WITHOUT_BASIS = "unit without its basis"

#: kinds of amount that need no denominator -> their basis; all others are of basis `amount`
_OWN_BASIS = {
    "institutional": "mrs_water",
    **{kind: basis for basis, kind in CANONICAL if basis == "response"},
}

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
#: `nmol.L-1`, `nmol L^-1`, `µmol·g⁻¹ creatinine`
_NEGATIVE_POWER = re.compile(r"^([^\s./]+)[\s.]*\.?[\s.]*([A-Za-z]+)\^?-1(?!\d)(.*)$")

#: a unit that the header it comes from put in brackets: `[nmol/L]`, `(ng/mL)`
_BRACKETED = re.compile(r"^(?:\[([^\[\]]+)\]|\(([^()]+)\))$")


def unit_tables(
    amounts: Iterable[Mapping[str, str]],
    denominators: Iterable[Mapping[str, str]],
    spellings: Iterable[Mapping[str, str]],
) -> UnitTables:
    """The tables from the rows of unit_amounts, unit_denominators and unit_spellings."""
    known_amounts = {
        row["ucum"]: Amount(row["ucum"], row["kind"], Fraction(row["factor"])) for row in amounts
    }
    known_denominators = {}
    for row in denominators:
        ucum = row["unit"] + (f"{{{row['annotation']}}}" if row["annotation"] else "")
        known_denominators[row["unit"], row["annotation"]] = Denominator(
            ucum, row["basis"], Fraction(row["factor"]), tuple(row["amounts"].split("|"))
        )
    texts: dict[str, dict[str, str]] = {"whole": {}, "amount": {}, "denominator": {}, "annotation": {}}
    for row in spellings:
        key = folded(row["text"]) if row["part"] == "annotation" else _cleaned(row["text"])
        texts[row["part"]][key] = row["means"]
    texts["amount"] |= {ucum: ucum for ucum in known_amounts}
    texts["denominator"] |= {unit: unit for unit, _ in known_denominators}
    texts["annotation"] |= {annotation: annotation for _, annotation in known_denominators if annotation}
    return UnitTables(
        known_amounts,
        known_denominators,
        texts["whole"],
        texts["amount"],
        texts["denominator"],
        texts["annotation"],
    )


def _cleaned(text: str) -> str:
    """`text` in one way of typing: no spaces, `u` for both micro signs, `/` for `per`, `.` for a product."""
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text).strip()
    text = re.sub("[\u2010-\u2015\u2212]", "-", text.replace("\u03bc", "u").replace("\u2044", "/"))
    text = re.sub("[\u00b7\u22c5\u2219]", ".", text.replace("\u00d7", "x"))
    text = re.sub(r"(?<=[\w})\]])\s+(?:per|pro|par|por)\s+|^per\s+", "/", text, flags=re.IGNORECASE)
    if (power := _NEGATIVE_POWER.match(text)) and "/" not in text:
        text = f"{power[1]}/{power[2]}{power[3]}"
    text = re.sub(r"\s+", "", text)
    if (bracketed := _BRACKETED.match(text)) and bracketed[1] != "IU":
        text = bracketed[1] or bracketed[2]
    return text


def _looked_up(text: str, table: Mapping[str, str], capitals: bool) -> str | None:
    """`text` in `table`: as it stands, or where `capitals` says that the whole unit is written in
    capitals (`NMOL/L`) without regard to case, or with a harmless first capital (`Umol`).

    Case decides otherwise: `Mg` is not mg, `Pmol` is not pmol and `ML` is not mL, so a unit of mixed
    case is never taken for another one, except where its first letter is no prefix in capitals.
    """
    if text in table:
        return table[text]
    if capitals:
        found = {means for known, means in table.items() if known.upper() == text}
        return found.pop() if len(found) == 1 else None
    if text[0] in "UN" and (lowered := text[0].lower() + text[1:]) in table:
        return table[lowered]
    return None


def _whole(cleaned: str, tables: UnitTables) -> str:
    """The unit that the whole text is a shorthand for, or the text.

    Case counts (`PM` is not pM, `I.U.` are no institutional units), but not in words (`Ratio`).
    """
    if cleaned not in tables.whole and len(cleaned) > 4:
        return tables.whole.get(cleaned.lower(), cleaned)
    return tables.whole.get(cleaned, cleaned)


def _denominator(text: str, tables: UnitTables, capitals: bool) -> Denominator | str | None:
    """What `text` after the `/` means, a problem, or None."""
    unit = _looked_up(text, tables.denominator_spellings, capitals)
    if unit is not None:
        plain = tables.denominators.get((unit, ""))
        return plain if plain is not None else UNIT_WITHOUT_BASIS
    # the longest unit in front of which a known word remains: `gCr`, `g{creat}`, `10*9{platelets}`
    for length in range(len(text) - 1, 0, -1):
        unit = _looked_up(text[:length], tables.denominator_spellings, capitals)
        word = tables.annotations.get(folded(text[length:].strip("{}()[]_.*")))
        if unit is not None and word is not None and (unit, word) in tables.denominators:
            return tables.denominators[unit, word]
    return None


def read_unit(text: str | None, tables: UnitTables) -> tuple[Unit | None, str | None]:
    """What `text` means, or None and the problem: no unit, unknown unit, or unit without its basis.

    A unit without its basis is one such as `ug/g`, `mmol/mol` or a bare `ug`: per gram of what is
    for the layout to say.
    """
    cleaned = _cleaned(text or "")
    if not cleaned:
        return None, NO_UNIT
    before, slash, after = _whole(cleaned, tables).partition("/")
    capitals = cleaned.upper() == cleaned
    amount = tables.amounts.get(_looked_up(before or "1", tables.amount_spellings, capitals) or "")
    if amount is not None and not slash:
        basis = _OWN_BASIS.get(amount.kind, "amount")
        if (basis, amount.kind) not in CANONICAL:  # a bare `ug` or `nmol`
            return None, UNIT_WITHOUT_BASIS
        return Unit(amount.ucum, basis, amount.kind, amount.factor), None
    found = None
    if amount is not None and after:
        found = _denominator(after, tables, capitals)
        if found == UNIT_WITHOUT_BASIS:
            return None, UNIT_WITHOUT_BASIS
        if isinstance(found, Denominator):
            if amount.kind not in found.kinds:
                return None, UNKNOWN_UNIT
            factor = amount.factor / found.factor
            return Unit(f"{amount.ucum}/{found.ucum}", found.basis, amount.kind, factor), None
    if _is_known_but_for_case(before, after, tables):
        return None, UNKNOWN_UNIT  # `Mg/dL` would be valid UCUM: megagrams
    other = _by_ucum(cleaned)
    return (other, None) if other else (None, UNKNOWN_UNIT)


def _is_known_but_for_case(before: str, after: str, tables: UnitTables) -> bool:
    """Whether the text would be a unit of the tables if case did not count."""
    return before.lower() in {known.lower() for known in tables.amount_spellings} and after.lower() in {
        known.lower() for known in tables.denominator_spellings
    }


def ratio_factor(text: str, wanted: str, tables: UnitTables) -> Fraction | None:
    """What to multiply a ratio in the unit `text` with, to have it in the unit `wanted`.

    Both are the unit of one amount of substance against another (`umol/mmol`), or of a number (`1`,
    `%`, `ratio`). An empty text is `1` where 1 is wanted. None where that does not follow: masses
    against masses are another ratio.
    """
    if not _cleaned(text):
        return Fraction(1) if wanted == "1" else None
    factors = []
    for unit in (text, wanted):
        cleaned = _cleaned(unit)
        capitals = cleaned.upper() == cleaned
        before, slash, after = _whole(cleaned, tables).partition("/")
        over = tables.amounts.get(_looked_up(before or "?", tables.amount_spellings, capitals) or "")
        under = tables.amounts.get(_looked_up(after or "1", tables.amount_spellings, capitals) or "")
        if over is None or under is None or over.kind != ("substance" if slash else "number"):
            return None
        if under.kind != over.kind:
            return None
        factors.append(over.factor / under.factor)
    return factors[0] / factors[1]


def _by_ucum(text: str) -> Unit | None:
    """`text` as UCUM where its dimension alone decides the basis: amounts per volume.

    Annotations and rates are refused: only the tables know what they stand for. What is no quotient is no
    amount per volume: that is known without loading the registry, which takes more than a second.
    """
    if re.search(r"[{}%]", text) or not re.search(r"[a-zA-Z]", text) or not re.search(r"/|-\d", text):
        return None
    registry = _ucum_registry()
    try:
        quantity = registry.from_ucum(text)
        for kind, base in (("substance", "umol/L"), ("mass", "ug/L")):
            if quantity.is_compatible_with(registry.from_ucum(base)):
                factor = Fraction(str(float(f"{quantity.to(registry.from_ucum(base).units).magnitude:.12g}")))
                return Unit(text, "per_volume", kind, factor) if factor > 0 else None
    except Exception:  # ucumvert, lark and pint raise a dozen kinds, all meaning: not a unit we know
        return None
    return None


_REGISTRY: list = []


def _ucum_registry():  # type: ignore[no-untyped-def]
    """The UCUM registry; loaded on first use only, because it takes more than a second."""
    if not _REGISTRY:
        from ucumvert import PintUcumRegistry

        _REGISTRY.append(PintUcumRegistry())
    return _REGISTRY[0]
