"""What texts mean by the catalogue: names and synonyms, and a text that contradicts another is refused."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.catalogue_rows import CatalogueError, Row, known, parts
from schemas.entries import Analyte, Metric, Name, Specimen
from schemas.names import folded, without_ratio


def put(table: dict[str, str], row: Row, text: str, found: str) -> None:
    """Let `text` lead to `found`; refuse a text that leads elsewhere already or cannot be matched. Raises
    CatalogueError."""
    key = folded(text)
    if not key:
        raise CatalogueError(f"{row.origin}: {text!r} has no letter or digit to match by; leave the row out")
    if table.setdefault(key, found) != found:
        raise CatalogueError(
            f"{row.origin}: {text!r} already means {table[key]}, not {found}; say it in the layout instead"
        )


def texts_of(rows: list[Row], column: str) -> dict[str, str]:
    """Folded text -> the cell of `column` beside it. Raises CatalogueError where a text means two things."""
    out: dict[str, str] = {}
    for row in rows:
        put(out, row, row.values["text"], row.values[column])
    return out


def ambiguous_texts(rows: list[Row]) -> dict[str, tuple[str, ...]]:
    """Folded text -> what it may mean, of the rows of synonyms_ambiguous.csv."""
    return {folded(row.values["text"]): parts(row.values["candidates"]) for row in rows}


def analyte_names(
    rows: Mapping[str, list[Row]],
    analytes: Mapping[str, Analyte],
    specimens: Mapping[str, Specimen],
    ambiguous: Mapping[str, tuple[str, ...]],
) -> dict[str, Name]:
    """Folded text -> analyte: every id, name and synonym. None may mean two, nor be ambiguous. Raises CatalogueError."""
    ids: dict[str, str] = {}
    said: dict[str, str] = {}  # folded text -> specimen that the text itself names
    texts = [
        (row, row.values[column], row.values["id"], "")
        for row in rows["analytes.csv"]
        for column in ("id", "name")
    ]
    for row in rows["synonyms.csv"]:
        known(row, "analyte_id", analytes)
        known(row, "specimen", specimens)
        texts.append((row, row.values["text"], row.values["analyte_id"], row.values["specimen"]))
    for row, text, analyte, specimen in texts:
        if text == row.values.get("id") and folded(text) in ambiguous:
            continue  # `pea` as an id says nothing about what a lab means by PEA
        put(ids, row, text, analyte)
        if folded(text) in ambiguous:
            raise CatalogueError(f"{row.origin}: {text!r} means several things; say it in the layout instead")
        if specimen:
            said[folded(text)] = specimen
    return {key: Name(found, said.get(key)) for key, found in ids.items()}


def scoped_names(rows: list[Row], analytes: Mapping[str, Analyte]) -> dict[str, dict[str, str]]:
    """Vocabulary -> folded text -> analyte, of the rows of synonyms_scoped.csv. Raises CatalogueError where a text means
    two in one vocabulary."""
    out: dict[str, dict[str, str]] = {}
    for row in rows:
        known(row, "analyte_id", analytes)
        put(out.setdefault(row.values["vocabulary"], {}), row, row.values["text"], row.values["analyte_id"])
    return out


def specimen_names(rows: Mapping[str, list[Row]], specimens: Mapping[str, Specimen]) -> dict[str, str]:
    """Folded text -> specimen: every id, name and synonym. Raises CatalogueError where a text means two."""
    out: dict[str, str] = {}
    for row in rows["specimens.csv"]:
        for text in (row.values["id"], row.values["name"]):
            put(out, row, text, row.values["id"])
    for row in rows["specimen_synonyms.csv"]:
        known(row, "specimen_id", specimens)
        put(out, row, row.values["text"], row.values["specimen_id"])
    return out


def metric_names(
    rows: Mapping[str, list[Row]],
    metrics: Mapping[str, Metric],
    names: Mapping[str, Name],
    reported: frozenset[str],
) -> dict[str, tuple[str, ...]]:
    """Folded text -> metrics that labs print. Several may share a text, in different specimens.
    Raises CatalogueError where two share it in one."""
    out: dict[str, tuple[str, ...]] = {}
    texts = [
        (row, row.values[column], row.values["id"])
        for row in rows["metrics.csv"]
        if row.values["id"] in reported
        for column in ("id", "name")
    ]
    for row in rows["metric_synonyms.csv"]:
        known(row, "metric_id", metrics)
        texts.append((row, row.values["text"], row.values["metric_id"]))
    for row, text, metric in texts:
        for key in dict.fromkeys((folded(text), without_ratio(folded(text)))):
            if key in names and (key == folded(text)):
                raise CatalogueError(f"{row.origin}: {text!r} already means {names[key].id}; leave it out")
            others = out.get(key, ())
            if metric in others or not key or key in names:
                continue
            for other in others:
                if set(metrics[other].specimens) & set(metrics[metric].specimens):
                    raise CatalogueError(f"{row.origin}: {text!r} already means {other}; leave it out")
            out[key] = (*others, metric)
    return out
