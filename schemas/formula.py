"""The formula of a metric, as text and as what it means.

    1000*kynurenine/tryptophan
    (dopac+hva)/dopamine
    d_serine/(d_serine+serine)
    balance(dopamine, norepinephrine / serotonin)

A ratio weighs sums of molar concentrations, a balance geometric means (as a log-ratio). Either may
carry a scale in front.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<mark>[+*/(),]))"
)


class FormulaError(ValueError):
    """A formula that cannot be used; the message says what is wrong and at which character."""


@dataclass(frozen=True)
class Formula:
    """`scale` times numerator against denominator; both are analyte ids in the order written."""

    kind: Literal["ratio", "balance"]
    scale: float
    numerator: tuple[str, ...]
    denominator: tuple[str, ...]

    @property
    def analytes(self) -> tuple[str, ...]:
        """Every analyte of the formula once, numerator first."""
        return tuple(dict.fromkeys(self.numerator + self.denominator))

    @property
    def shared(self) -> frozenset[str]:
        """The analytes on both sides: those of the smaller side of a fraction, or none."""
        return frozenset(self.numerator) & frozenset(self.denominator)


class _Reader:
    """The tokens of one formula, with their positions, read one after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []  # kind, token, 1-based position
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise FormulaError(f"{text!r}, character {at + 1}: {text[at]!r} has no place in a formula")
            kind = found.lastgroup or ""
            self.tokens.append((kind, found[kind], found.start(kind) + 1))
            at = found.end()
        self.tokens.append(("end", "the end", len(text.rstrip()) + 1))

    def wrong(self, expected: str) -> FormulaError:
        _, token, at = self.tokens[0]
        return FormulaError(f"{self.text!r}, character {at}: expected {expected}, found {token}")

    def skip(self, mark: str) -> bool:
        """Go past the next token if it is `mark`."""
        if self.tokens[0][0] != "end" and self.tokens[0][1] == mark:
            self.tokens.pop(0)
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.skip(mark):
            raise self.wrong(repr(mark))

    def name(self) -> str:
        kind, token, _ = self.tokens[0]
        if kind != "name" or token == "balance":
            raise self.wrong("an analyte")
        self.tokens.pop(0)
        return token

    def names(self, separator: str) -> tuple[str, ...]:
        """One analyte or several, separated by `separator`; none may come twice."""
        out = [self.name()]
        while self.skip(separator):
            at = self.tokens[0][2]
            out.append(self.name())
            if out[-1] in out[:-1]:
                raise FormulaError(f"{self.text!r}, character {at}: {out[-1]} stands twice on one side")
        return tuple(out)

    def scale(self) -> float:
        """The number in front of `*`, 1 where there is none."""
        kind, token, at = self.tokens[0]
        if kind != "number":
            return 1.0
        self.tokens.pop(0)
        self.need("*")
        value = float(token)
        if not 0 < value < math.inf:
            raise FormulaError(f"{self.text!r}, character {at}: the scale must be above zero and finite")
        return value

    def side(self) -> tuple[str, ...]:
        """One analyte, or a sum in brackets."""
        if not self.skip("("):
            return (self.name(),)
        out = self.names("+")
        self.need(")")
        return out


def parse_formula(text: str) -> Formula:
    """The meaning of `text`.

    Raises FormulaError where it is no formula, where an analyte stands twice on one side, or where
    one stands on both sides without being a fraction of a whole (`a/(a+b)` or `(a+b)/a`).
    """
    reader = _Reader(text)
    scale = reader.scale()
    is_balance = reader.skip("balance")
    if is_balance:
        reader.need("(")
        numerator = reader.names(",")
        reader.need("/")
        denominator = reader.names(",")
        reader.need(")")
    else:
        numerator = reader.side()
        reader.need("/")
        denominator = reader.side()
    if reader.tokens[0][0] != "end":
        raise reader.wrong("the end")
    formula = Formula("balance" if is_balance else "ratio", scale, numerator, denominator)
    shared = formula.shared
    if shared and is_balance:
        raise FormulaError(f"{text!r}: {min(shared)} stands on both sides of a balance, where it cancels")
    if shared and set(numerator) == set(denominator):
        raise FormulaError(f"{text!r}: both sides are the same, so it is always {scale:g}")
    if shared and shared not in (set(numerator), set(denominator)):
        raise FormulaError(
            f"{text!r}: {min(shared)} stands on both sides; that needs one side to be part of the other"
        )
    return formula
