"""Wording: what is never said of a metric, and what no file of the repository holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import outputs
from schemas.catalogue import BUILT_IN, load_catalogue
from tests.docs.runner import ROOT, pages

#: what would make a metric say something about a person, or about the brain
FORBIDDEN = re.compile(
    r"\b(indicat(e|es|ed|ing|ive|or|ors)( of| that)?\b|diagnos\w*|treat(s|ed|ing|ment|ments)?\b|supplement\w*|"
    r"(levels?|amounts?|concentrations?) in the brain|brain levels?|cures?\b|therap\w*|remed(y|ies)\b|"
    r"imbalances?\b|risk scores?\b|deficien(t|cy|cies) of)",
    re.IGNORECASE,
)
#: what turns a sentence round
NEGATION = re.compile(r"\b(no|not|never|nor|nothing|none|without|cannot)\b|n't\b|incorrect", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://\S+")

#: hosts of package registries, folders of somebody's machine; written so that this file holds none
NOT_OF_THE_PROJECT = re.compile(
    rb"[p]ypi\.(org|python)|python[h]osted|[a]naconda\.(org|com)|[n]pmjs|[p]roxy\.golang|/[s]imple/|[e]xtra-index"
    rb"|/[h]ome/[a-z]|/[r]oot/|/[U]sers/[a-z]|/[w]ork/|bash_[j]obs"
)
_SKIPPED = {".git", ".venv", "data", "build", "dist", "node_modules"}


def said(text: str) -> list[str]:
    """The forbidden words of a text, sentence by sentence; those of a negated sentence do not count."""
    plain = _ADDRESS.sub("", re.sub(r"\s+", " ", text))
    sentences = re.split(r"(?<=[.;:!?|])\s+", plain)
    return [
        f"{found[0]!r} in {s!r}"
        for s in sentences
        if not NEGATION.search(s)
        for found in FORBIDDEN.finditer(s)
    ]


def test_the_search_finds_what_it_looks_for() -> None:
    assert said("A high ratio indicates stress.")
    assert said("Fine. It reflects brain levels of dopamine.")
    assert said("Take a supplement")
    assert not said("It says nothing about amounts in the brain.")
    assert not said("published by https://example.org/diagnostics/x")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_page_says_what_a_metric_does_not(page: Path) -> None:
    text = page.read_text("utf-8")
    # a list item, a table cell or a paragraph is a sentence of its own
    parts = re.split(r"\n\s*\n|\n(?=[-|#])|(?<= )\|", text)
    assert [hit for part in parts for hit in said(part)] == []


def test_no_text_of_the_catalogue_says_what_a_metric_does_not() -> None:
    seen = 0
    for file in sorted(BUILT_IN.glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                for column, text in row.items():
                    seen += 1
                    assert said(text) == [], f"{file.name}: {column} of {next(iter(row.values()))}"
    assert seen > 5000


def test_no_published_column_is_described_as_what_it_is_not() -> None:
    for columns in outputs.datasets(load_catalogue()).values():
        for column in columns:
            assert said(column.description) == [], column.name


def test_a_metric_that_names_a_peripheral_specimen_says_nothing_of_the_brain() -> None:
    catalogue = load_catalogue()
    for metric in catalogue.metrics.values():
        peripheral = {catalogue.specimens[s].compartment for s in metric.specimens} == {"peripheral"}
        assert not (peripheral and re.search(r"\bbrain\b|\bCNS\b", metric.name)), metric.id


def test_the_retracted_paper_supports_nothing() -> None:
    for path in [*pages(), *BUILT_IN.iterdir()]:
        for part in re.split(r"\n", path.read_text("utf-8")):
            if re.search(r"\bHinz\b|PMC2695216", part):
                assert "retracted" in part, path.name


def files() -> Iterator[Path]:
    """Every file of the repository."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        ours = not any(
            part in _SKIPPED or part.endswith((".egg-info", "_cache", "__pycache__")) for part in parts
        )
        if ours and ".hypothesis" not in parts and path.is_file():
            yield path


def test_every_file_speaks_of_the_project_only() -> None:
    everything = list(files())
    assert len(everything) > 100
    for path in everything:
        found = NOT_OF_THE_PROJECT.search(path.read_bytes())
        assert found is None, f"{path.relative_to(ROOT)}: {found[0]!r}"
