"""The matching key: what counts in a name, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import folded, without_ratio

SAME = [
    ("Dopamine", "DOPAMINE"),
    ("5-HIAA", "5 hiaa"),
    ("5-HIAA", "５-ＨＩＡＡ"),
    ("5-Hydroxyindolessigsäure", "5-hydroxyindolessigsaeure"),
    ("Anthranilsäure", "Anthranilsa\u0308ure"),
    ("acide kynurénique", "Acide kynurenique"),
    ("ácido γ-aminobutírico", "acido gamma-aminobutirico"),
    ("γ-Aminobutyric acid", "gamma aminobutyric acid"),
    ("g-aminobutyric acid", "gamma-aminobutyric acid"),
    ("β-PEA", "b-PEA"),
    ("β-PEA", "Beta PEA"),
    ("17ß-Estradiol", "17β-estradiol"),
    ("Folsäure", "FOLSAEURE"),
    ("Eiweiß", "Eiweiss"),
    ("Δ4-Androstenedione", "delta-4-androstenedione"),
    ("N-τ-methylhistamine", "N-tau-methylhistamine"),
    ("3,4-Dihydroxyphenylglycol", "3.4-dihydroxyphenylglycol"),
    ("3,4-Dihydroxyphenylglycol", "3-4 dihydroxyphenylglycol"),
    ("Vitamin B 12", "vitamin_b12"),
    ("Glu + Gln", "Glu+Gln"),
    ("Phe:Tyr", "Phe / Tyr"),
    ("Dopamine:", "Dopamine"),
    ("\u00b5-test", "\u03bc-test"),
    ("non\u00adbreaking\u00a0space", "nonbreaking space"),
]

DIFFERENT = [
    ("GABA+", "GABA"),
    ("NAA+NAAG", "NAA NAAG"),
    ("3,4-Dihydroxyphenylglycol", "34-Dihydroxyphenylglycol"),
    ("1,2", "12"),
    ("Phe/Tyr", "PheTyr"),
    ("Leu/Ile", "Leu+Ile"),
    ("D-Serine", "L-Serine"),
    ("B-12", "beta-12"),
    ("GABA-B", "GABA-beta"),
    ("3-MT", "3-MTY"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_ways_of_writing_one_name_have_one_key(one: str, other: str) -> None:
    assert folded(one) == folded(other) != ""


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_counts_keeps_names_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_a_text_of_marks_alone_has_no_key() -> None:
    assert [folded(text) for text in ("", "  ", "-", "...", "()", ":", "_")] == [""] * 7


@pytest.mark.parametrize(
    "text", ["Phe/Tyr ratio", "Ratio Phe:Tyr", "ratio of Phe/Tyr", "Phe/Tyr-Quotient", "Phe/Tyr"]
)
def test_the_word_ratio_is_no_part_of_a_ratio(text: str) -> None:
    assert without_ratio(folded(text)) == "phe/tyr"


@given(st.text(max_size=40))
def test_a_key_is_its_own_key(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text("abcgdeXYZ", min_size=1, max_size=8), st.sampled_from(["", " ", "  ", ".", "'", " . "]))
def test_case_and_spacing_never_matter(text: str, between: str) -> None:
    assert folded(between.join(text)) == folded(text.upper()) == folded(f" {text} ")


@given(st.text(max_size=20))
def test_plus_always_counts(text: str) -> None:
    assert folded(text + "+").count("+") > folded(text).count("+")
