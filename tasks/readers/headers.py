"""The text of a header: compared without regard to how people write it, and the unit written into it."""

from __future__ import annotations

import functools
import re
import unicodedata

#: a field longer than this is no header (text cut at a delimiter that is not the file's)
LONGEST = 200

#: a unit written into a header: `Dopamine (nmol/L)`, `Dopamine [ng/mL]`, `Dopamine_ng/mL`, `Dopamine, nM`.
#: In brackets anything may stand; without them only what looks like a unit, so that `Dopamine_flag` has none.
_MOLAR = r"[fpnuµμm]?M"
_PER = r"[A-Za-zµμ%]+\s*/\s*(?:[0-9.]+\s*)?[A-Za-z]+(?:[ .{][A-Za-z}]+)*"
UNIT_IN_HEADER = re.compile(
    rf"^(?P<analyte>.*?[^\s_,;:(\[])(?:[\s_,;:]*[(\[]\s*|[\s_,;:]+(?:in\s+)?)"
    rf"(?P<unit>(?<=[(\[])[^()\[\]]+(?=[)\]]\s*$)|(?<=[(\[]\s)[^()\[\]]+(?=[)\]]\s*$)|(?:{_PER}|{_MOLAR})(?=\s*$))"
    rf"[)\]]?\s*$"
)

_MAY_STATE_A_UNIT = re.compile(r"[(\[/]|M\s*$")


@functools.lru_cache(maxsize=50_000)
def _key(header: str) -> str:
    plain = unicodedata.normalize("NFKD", header).casefold()
    return "".join(char for char in plain if char.isalnum())


def key(header: str) -> str:
    """A header without what people write differently: case, spaces, punctuation, accents; empty for a text
    that is too long to be one."""
    return _key(header) if len(header) <= LONGEST else ""


#: texts that are units as they are written, whatever else they may stand for in other letters (NM, Mg, PG)
_PLAIN_UNIT = re.compile(r"[fpnuµμm]?(?:M|g|mol)")


def is_plain_unit(text: str) -> bool:
    """Whether the text is a unit without a denominator; `nM` is one, `NM` is none."""
    return _PLAIN_UNIT.fullmatch(text) is not None


@functools.lru_cache(maxsize=50_000)
def _split(header: str, pattern: str | None) -> tuple[str, str] | None:
    if pattern is None and not _MAY_STATE_A_UNIT.search(header):
        return None
    found = re.search(pattern, header) if pattern else UNIT_IN_HEADER.match(header.strip())
    if found is None or not found["analyte"] or not found["unit"]:
        return None
    return found["analyte"].strip(), found["unit"].strip()


def split_unit(header: str, pattern: str | None = None) -> tuple[str, str] | None:
    """`Dopamine (nmol/L)` -> (`Dopamine`, `nmol/L`); None where the header states no unit."""
    return _split(header, pattern) if len(header) <= LONGEST else None
