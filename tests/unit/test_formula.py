"""Formulas: what they mean, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.formula import Formula, FormulaError, parse_formula


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("hva/hiaa_5", Formula("ratio", 1.0, ("hva",), ("hiaa_5",))),
        ("1000*kynurenine/tryptophan", Formula("ratio", 1000.0, ("kynurenine",), ("tryptophan",))),
        (" 0.5 * a / b ", Formula("ratio", 0.5, ("a",), ("b",))),
        ("(dopac+hva)/dopamine", Formula("ratio", 1.0, ("dopac", "hva"), ("dopamine",))),
        ("a/(b + c + d)", Formula("ratio", 1.0, ("a",), ("b", "c", "d"))),
        ("d_serine/(d_serine+serine)", Formula("ratio", 1.0, ("d_serine",), ("d_serine", "serine"))),
        ("(a+b)/a", Formula("ratio", 1.0, ("a", "b"), ("a",))),
        ("(a+b)/(a+b+c)", Formula("ratio", 1.0, ("a", "b"), ("a", "b", "c"))),
        ("balance(a, b / c, d)", Formula("balance", 1.0, ("a", "b"), ("c", "d"))),
        ("1e2*balance(a/b)", Formula("balance", 100.0, ("a",), ("b",))),
    ],
)
def test_a_formula_means_what_it_says(text: str, meaning: Formula) -> None:
    assert parse_formula(text) == meaning


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "character 1: expected an analyte, found the end"),
        ("a", "character 2: expected '/'"),
        ("a/", "character 3: expected an analyte"),
        ("a/b/c", "character 4: expected the end, found /"),
        ("a+b/c", "character 2: expected '/', found +"),
        ("(a+b/c", "character 5: expected ')', found /"),
        ("A/b", "character 1: 'A' has no place"),
        ("a / $b", "character 5: '$' has no place"),
        ("a-b/c", "character 2: '-' has no place"),
        ("1000/a", "character 5: expected '*'"),
        ("0*a/b", "character 1: the scale must be above zero"),
        ("1e999*a/b", "character 1: the scale must be above zero and finite"),
        ("(a+a)/b", "character 4: a stands twice"),
        ("(a+b)/(a+c)", "a stands on both sides; that needs one side"),
        ("a/a", "always 1"),
        ("(a+b)/(b+a)", "always 1"),
        ("balance(a, b / b, c)", "b stands on both sides of a balance"),
        ("balance(a, b)", "character 13: expected '/'"),
        ("balance/a", "character 8: expected '('"),
        ("a/balance", "character 3: expected an analyte"),
        ("glycine[csf]/glycine[plasma]", "character 8: '[' has no place"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(FormulaError) as refused:
        parse_formula(text)
    assert complaint in str(refused.value)
    assert repr(text) in str(refused.value)


def test_a_fraction_knows_what_it_shares_with_the_whole() -> None:
    formula = parse_formula("d/(d+l)")
    assert formula.shared == {"d"}
    assert formula.analytes == ("d", "l")
    assert parse_formula("a/b").shared == frozenset()


NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True), min_size=2, max_size=8, unique=True)


@given(NAMES.filter(lambda names: "balance" not in names), st.data(), st.floats(1e-6, 1e6))
def test_a_formula_survives_being_written_down(names: list[str], data: st.DataObject, scale: float) -> None:
    cut = data.draw(st.integers(1, len(names) - 1))
    over, under = tuple(names[:cut]), tuple(names[cut:])
    assert parse_formula(f"{scale!r}*({'+'.join(over)})/({' + '.join(under)})") == Formula(
        "ratio", scale, over, under
    )
    assert parse_formula(f"balance({','.join(over)}/{', '.join(under)})") == Formula(
        "balance", 1.0, over, under
    )


@given(st.text("ab+*/(), 1.e_A-", max_size=20))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert formula.numerator
    assert formula.denominator
    assert formula.scale > 0
