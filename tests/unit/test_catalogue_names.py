"""How texts and codes are resolved against the catalogue: analytes, and metrics that labs print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import folded
from tests.unit.catalogue import CATALOGUE, layout, rows


def test_no_text_means_two_analytes_or_is_ambiguous_as_well() -> None:
    meanings: dict[str, set[str]] = {}
    for row in rows("analytes.csv"):
        for text in (row["id"], row["name"]):
            meanings.setdefault(folded(text), set()).add(row["id"])
    for row in rows("synonyms.csv"):
        meanings.setdefault(folded(row["text"]), set()).add(row["analyte_id"])
    assert "" not in meanings
    assert {key: ids for key, ids in meanings.items() if len(ids) > 1} == {}
    ambiguous = {folded(row["text"]) for row in rows("synonyms_ambiguous.csv")}
    assert ambiguous & set(meanings) == {"pea"}  # the id of phenylethylamine, which as a text is refused
    assert CATALOGUE.resolve_analyte("PEA", None).id is None


def test_no_name_of_a_metric_is_a_name_of_an_analyte() -> None:
    assert set(CATALOGUE._metric_names) & set(CATALOGUE._names) == set()


@pytest.mark.parametrize("row", rows("synonyms.csv"), ids=lambda row: row["text"])
def test_every_synonym_leads_to_its_analyte(row: dict[str, str]) -> None:
    capitals = row["text"].upper().replace("17SS", "17ß")  # a keyboard's beta has no capital
    for text in (row["text"], capitals, f" {row['text']} "):
        found = CATALOGUE.resolve_analyte(text, None)
        assert (found.id, found.kind, found.problem) == (row["analyte_id"], "analyte", None)
        assert (found.specimen_from_text or "") == row["specimen"]


@pytest.mark.parametrize("analyte", list(CATALOGUE.analytes.values()), ids=lambda a: a.id)
def test_every_name_leads_to_its_analyte(analyte) -> None:  # type: ignore[no-untyped-def]
    assert CATALOGUE.resolve_analyte(analyte.name, None).id == analyte.id


@pytest.mark.parametrize("row", rows("synonyms_ambiguous.csv"), ids=lambda row: row["text"])
def test_every_ambiguous_text_is_refused_with_its_candidates(row: dict[str, str]) -> None:
    found = CATALOGUE.resolve_analyte(row["text"].lower(), None)
    assert (found.id, found.kind) == (None, None)
    assert found.problem is not None
    assert found.problem.startswith("ambiguous analyte: could be ")
    for candidate in row["candidates"].split("|"):
        assert candidate in found.problem
    assert found.candidates == tuple(row["candidates"].split("|"))


@pytest.mark.parametrize("row", rows("synonyms_scoped.csv"), ids=lambda r: f"{r['vocabulary']}-{r['text']}")
def test_a_vocabulary_decides_what_is_ambiguous(row: dict[str, str]) -> None:
    found = CATALOGUE.resolve_analyte(row["text"], None, layout(vocabulary=[row["vocabulary"]]))
    assert (found.id, found.problem) == (row["analyte_id"], None)


def test_two_vocabularies_that_disagree_leave_a_text_ambiguous() -> None:
    found = CATALOGUE.resolve_analyte("E", None, layout(vocabulary=["monoamines", "steroids"]))
    assert found.problem == "ambiguous analyte: could be epinephrine or cortisone"


def test_a_layout_decides_before_everything_else() -> None:
    mine = layout(analytes={"GLU": "glutamate", "L0815": "gaba", "Tyrosine": "tyramine"}, vocabulary=["mrs"])
    assert CATALOGUE.resolve_analyte("glu", None, mine).id == "glutamate"
    assert CATALOGUE.resolve_analyte("whatever", "L0815", mine).id == "gaba"
    assert CATALOGUE.resolve_analyte("tyrosine", "14875-9", mine).id == "tyramine"
    assert (
        CATALOGUE.resolve_analyte("x", None, layout(analytes={"x": "nothing"})).problem == "unknown analyte"
    )


def test_gaba_plus_is_never_gaba() -> None:
    assert CATALOGUE.resolve_analyte("GABA+", None).id == "gaba_plus"
    assert CATALOGUE.resolve_analyte("GABA +", None).id == "gaba_plus"
    assert CATALOGUE.resolve_analyte("GABA", None).id == "gaba"


def test_free_and_total_forms_are_never_the_plain_analyte() -> None:
    for text, analyte in [
        ("free tryptophan", "tryptophan_free"),
        ("Normetanephrine, total", "normetanephrine_total"),
    ]:
        assert CATALOGUE.resolve_analyte(text, None).id == analyte
    assert (
        CATALOGUE.resolve_analyte("L-thyroxine", None).id is None
    )  # total thyroxine is not in the catalogue


@pytest.mark.parametrize(
    "text", [None, "", "  ", "-", "Glucose", "Sodium", "SIL tryptophan D5", "nicotinic acid"]
)
def test_what_nobody_knows_is_unknown(text: str | None) -> None:
    found = CATALOGUE.resolve_analyte(text, None)
    assert (found.id, found.problem) == (None, "unknown analyte")


@given(st.text(max_size=30), st.text(max_size=12))
def test_a_problem_never_repeats_what_the_cell_says(text: str, code: str) -> None:
    marked = f"\u2603{text}\u2603"
    problem = CATALOGUE.resolve_analyte(marked, code).problem
    assert problem is None or "\u2603" not in problem


# ---- codes


@pytest.mark.parametrize("row", rows("loinc.csv"), ids=lambda row: row["loinc_code"])
def test_every_loinc_code_leads_to_its_analyte_and_specimen(row: dict[str, str]) -> None:
    expected = row["analyte_id"] or row["metric_id"]
    for text in (None, "a name nobody knows", row["long_common_name"]):
        found = CATALOGUE.resolve_analyte(text, row["loinc_code"])
        assert (found.id, found.problem, found.specimen_from_code) == (expected, None, row["specimen"])


def test_the_code_of_a_reported_ratio_leads_to_the_metric() -> None:
    found = CATALOGUE.resolve_analyte("Phenylalanine/Tyrosine", "35572-7")
    assert (found.id, found.kind, found.problem) == ("phe_tyr", "metric", None)


def test_name_and_code_that_disagree_are_refused() -> None:
    found = CATALOGUE.resolve_analyte("Tyrosine", "14875-9")
    assert (found.id, found.problem) == (None, "name and code disagree")
    assert CATALOGUE.resolve_analyte("Phe/Tyr", "14875-9").problem == "name and code disagree"
    assert CATALOGUE.resolve_analyte("Normetanephrine, free", "2671-6").id == "normetanephrine_free"


def test_of_two_forms_that_name_and_code_say_the_more_specific_counts() -> None:
    assert CATALOGUE.resolve_analyte("DL-serine", "20656-5").id == "serine_total"
    assert CATALOGUE.resolve_analyte("Cortisol", "2147-7").id == "cortisol_free"
    assert CATALOGUE.resolve_analyte("GABA+", "2318-4").problem == "name and code disagree"


def test_a_code_decides_an_ambiguous_name_only_where_it_is_a_candidate() -> None:
    assert CATALOGUE.resolve_analyte("GLU", "20642-5").id == "glutamate"
    assert CATALOGUE.resolve_analyte("GLU", "14875-9").problem == "name and code disagree"


def test_codes_nobody_knows_do_no_harm_where_the_name_is_known() -> None:
    for code in ("LAB-17", "99999-9", "2345-7"):
        assert CATALOGUE.resolve_analyte("Dopamine", code).id == "dopamine"
        assert CATALOGUE.resolve_analyte("Glucose", code).problem == "unknown analyte"


# ---- metrics that labs print


@pytest.mark.parametrize("row", rows("metric_synonyms.csv"), ids=lambda r: f"{r['metric_id']}-{r['text']}")
def test_every_name_of_a_metric_leads_to_it_in_its_specimens(row: dict[str, str]) -> None:
    for specimen in CATALOGUE.metrics[row["metric_id"]].specimens:
        found = CATALOGUE.resolve_analyte(row["text"], None, None, specimen)
        assert (found.id, found.kind, found.problem) == (row["metric_id"], "metric", None)


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("Norepinephrine: Epinephrine Ratio", "ne_epi"),
        ("Noradrenalin/Adrenalin", "ne_epi"),
        ("HVA : 5-HIAA", "csf_hva_hiaa"),
        ("Homovanillinsäure/5-Hydroxyindolessigsäure-Quotient", "csf_hva_hiaa"),
        ("Kynurenine/Tryptophan Ratio", "kyn_trp"),
        ("KTR", "kyn_trp"),
        ("Phe-Tyr ratio", "phe_tyr"),
        ("GABA/Cr+PCr", "gaba_tcr"),
        ("GABA+/tCr", "gabap_tcr"),
        ("Fischer Ratio", "fischer"),
        ("glutamine/glutamate ratio", "gln_glu"),
    ],
)
def test_ratios_are_known_however_labs_print_them(text: str, metric: str) -> None:
    assert CATALOGUE.resolve_analyte(text, None).id == metric


def test_the_specimen_decides_between_metrics_that_differ_only_in_it() -> None:
    assert CATALOGUE.resolve_reported("cortisol/cortisone", "saliva").id == "f_e_saliva"
    assert CATALOGUE.resolve_reported("Cortisol : Cortisone ratio", "urine_24h").id == "f_e_urine"
    assert CATALOGUE.resolve_reported("T/C", "serum").id == "t_c_serum"
    assert CATALOGUE.resolve_reported("Glu/GABA", "dried_urine").id == "glu_gaba_urine"
    unsaid = CATALOGUE.resolve_reported("cortisol/cortisone", None)
    assert unsaid.problem == "ambiguous analyte: could be f_e_urine or f_e_saliva or f_e_serum"
    elsewhere = CATALOGUE.resolve_reported("cortisol/cortisone", "csf")
    assert elsewhere.problem == "not defined in this specimen: f_e_urine or f_e_saliva or f_e_serum"


def test_an_inverse_ratio_is_not_the_ratio() -> None:
    for text in (
        "cortisone/cortisol",
        "Tyr/Phe",
        "Trp/Kyn",
        "adrenaline/noradrenaline",
        "dopamine/creatinine",
    ):
        assert CATALOGUE.resolve_analyte(text, None).problem == "unknown analyte"


def test_a_printed_ktr_needs_its_unit() -> None:
    assert CATALOGUE.reported_factor("kyn_trp", "µmol/mmol") == 1.0
    assert CATALOGUE.reported_factor("kyn_trp", "") is None
    assert CATALOGUE.reported_factor("kyn_trp", "", layout(units={"": "umol/mmol"})) == 1.0
    assert CATALOGUE.reported_factor("phe_tyr", None) == 1.0
    assert CATALOGUE.reported_factor("hva_vma", "mg/mg") is None
