"""Reading with PyArrow and pandas: the texts of the exports, and typed results with what the rules look at.

Texts that repeat are factorised and looked up once; strings are Arrow's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.contestants import exports_of

SENT = ("subject", "sample", "specimen", "analyte", "value", "unit", "collected_at", "reported_at", "status")
_TOKENS = dict.fromkeys(("", "na", "n/a", "null", "-", "."), "missing")
_TOKENS |= dict.fromkeys(("nd", "n.d.", "not detected", "none detected"), "not detected")
_TOKENS |= dict.fromkeys(
    ("<lloq", "<loq", "<lod", "blq", "bloq", "bql", "<llq", "trace", "traces", "spuren"), "below"
)
_TOKENS |= dict.fromkeys((">uloq", ">ulq", "alq", "aql"), "above")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_GROUPED = r"[+-]?\d{1,3}([.,]\d{3})+"


def read(inbox: Path) -> tuple[dict[str, pa.ChunkedArray], pd.DataFrame]:
    """The texts as sent with export and row, and the exports."""
    options = {
        "read_options": pa.csv.ReadOptions(column_names=list(SENT), skip_rows=1, block_size=1 << 24),
        "convert_options": pa.csv.ConvertOptions(
            column_types=dict.fromkeys(SENT, pa.string()), strings_can_be_null=False
        ),
    }
    tables, exports = [], []
    for path in exports_of(inbox):
        tables.append(pa.csv.read_csv(path, **options))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        exports.append((path.name, digest, path.stat().st_size, len(tables[-1]), pd.Timestamp.now("UTC")))
    table = pa.concat_tables(tables).combine_chunks()
    return {name: table[name] for name in SENT}, pd.DataFrame(
        exports, columns=["name", "export", "size", "rows", "received_at"]
    )


def _distinct(texts: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Codes of the rows and the distinct texts, stripped."""
    encoded = texts.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(), [text.strip() for text in encoded.dictionary.to_pylist()]


def _category(codes: np.ndarray, meanings: list[str | None]) -> pd.Categorical:
    """What each code means, as a categorical; None is missing."""
    known = sorted({m for m in meanings if m is not None})
    place = {name: n for n, name in enumerate(known)} | {None: -1}
    return pd.Categorical.from_codes(np.array([place[m] for m in meanings], np.int16)[codes], known)


def table_of(inbox: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(inbox / ".tables" / f"{name}.parquet")


def typed(inbox: Path, sent: dict[str, pa.ChunkedArray], exports: pd.DataFrame) -> pd.DataFrame:
    """Typed results, with what the rules look at."""
    synonyms = table_of(inbox, "synonyms").set_index("text")
    analyte_codes, analyte_texts = _distinct(sent["analyte"])
    ids = synonyms["analyte"].reindex([t.lower() for t in analyte_texts])
    analytes = [None if pd.isna(i) else i for i in ids]
    ambiguous = synonyms["ambiguous"].reindex([t.lower() for t in analyte_texts]).fillna(False).to_numpy(bool)
    specimens = table_of(inbox, "specimens").set_index("text")["specimen"].to_dict()
    specimen_codes, specimen_texts = _distinct(sent["specimen"])
    where = [specimens.get(t.lower()) for t in specimen_texts]
    unit_codes, unit_texts = _distinct(sent["unit"])
    status_codes, status_texts = _distinct(sent["status"])
    statuses = table_of(inbox, "statuses").set_index("text")["status"].to_dict() | {"": "final"}
    # analyte and unit together: a small table, looked up by one code
    told = table_of(inbox, "conversions").set_index(["analyte", "unit_text"])
    pairs = told.reindex(pd.MultiIndex.from_product([analytes, unit_texts])).reset_index(drop=True)
    pair = analyte_codes.astype(np.int32) * len(unit_texts) + unit_codes
    bases = set(table_of(inbox, "bases").itertuples(index=False, name=None))
    names = [None if pd.isna(b) else b for b in pairs["basis"]]
    fits = np.array([[(s, b) in bases for b in names] for s in where])

    frame = pd.DataFrame(index=pd.RangeIndex(len(pair)))
    frame["arrival"] = np.repeat(np.arange(len(exports)), exports["rows"])
    frame["export"] = pd.Categorical.from_codes(frame["arrival"], exports["export"])
    frame["row"] = np.concatenate([np.arange(2, n + 2) for n in exports["rows"]])
    frame["received_at"] = exports["received_at"].to_numpy()[frame["arrival"]]
    frame["received_at"] = (
        frame["received_at"].dt.tz_localize("UTC")
        if frame["received_at"].dt.tz is None
        else frame["received_at"]
    )
    frame["analyte"], frame["ambiguous"] = _category(analyte_codes, analytes), ambiguous[analyte_codes]
    frame["specimen"], frame["no_specimen"] = (
        _category(specimen_codes, where),
        np.array([t == "" for t in specimen_texts])[specimen_codes],
    )
    frame["status"] = _category(status_codes, [statuses.get(t.lower()) for t in status_texts])
    frame["unit"] = _category(pair, [None if pd.isna(u) else u for u in pairs["unit"]])
    frame["basis"], frame["factor"] = _category(pair, names), pairs["factor"].to_numpy()[pair]
    frame["fits"], frame["no_unit"] = (
        fits[specimen_codes, pair],
        np.array([t == "" for t in unit_texts])[unit_codes],
    )
    _values(frame, sent["value"])
    for name in ("subject", "sample"):
        text = pc.utf8_trim_whitespace(sent[name])
        frame[name] = pd.array(pc.if_else(pc.equal(text, ""), None, text), dtype="str")
    _times(frame, sent)
    checked = ("subject", "sample", "value", "unit", "analyte", "specimen", "collected_at")
    frame["control"] = np.any(
        [pc.match_substring_regex(sent[n], r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").to_numpy() for n in checked],
        axis=0,
    )
    frame["too_long"] = np.any(
        [pc.greater(pc.binary_length(sent[n]), 32768).to_numpy() for n in checked], axis=0
    )
    return frame


def _values(frame: pd.DataFrame, sent: pa.ChunkedArray) -> None:
    """low, high, rounding and kind from the text of the value."""
    text = pc.utf8_trim_whitespace(sent)
    core = pc.utf8_ltrim(text, "<>=≤≥ ")
    is_number = pc.match_substring_regex(core, _NUMBER)
    number = pc.cast(pc.if_else(is_number, core, None), pa.float64()).to_numpy(zero_copy_only=False)
    kind = np.where(np.isnan(number), -1, 0).astype(np.int8)
    names = ["none", "below", "above", "not detected", "missing"]
    first = pc.utf8_slice_codeunits(text, 0, 2)
    less, more = (
        pc.match_substring_regex(first, p).to_numpy(zero_copy_only=False) for p in ("^(<|≤|=<)", "^(>|≥|=>)")
    )
    kind[less & (kind == 0)], kind[more & (kind == 0)] = 1, 2
    # what is no number may be a word for one: few rows
    rest = np.flatnonzero(kind < 0)
    words = text.take(pa.array(rest)).to_pylist()
    kind[rest] = [names.index(_TOKENS[w.lower()]) if w.lower() in _TOKENS else -1 for w in words]
    grouped = np.zeros(len(kind), bool)
    grouped[rest] = pc.match_substring_regex(core.take(pa.array(rest)), f"^{_GROUPED}$").to_numpy(
        zero_copy_only=False
    )
    factor = frame["factor"].to_numpy()
    exact = (kind == 0) | (kind == 2)
    low = np.where(
        exact,
        np.where(np.isnan(number) & (kind == 2), 0, number),
        np.where(number < 0, number, np.where(kind >= 1, 0.0, np.nan)),
    )
    high = np.where(
        kind == 0,
        number,
        np.where(kind == 2, np.inf, np.where(kind >= 1, np.where(np.isnan(number), np.inf, number), np.nan)),
    )
    missing = kind == 4
    low[missing], high[missing] = np.nan, np.nan
    point = pc.find_substring(core, ".").to_numpy(zero_copy_only=False)
    decimals = np.where(point >= 0, pc.utf8_length(core).to_numpy(zero_copy_only=False) - point - 1, 0)
    frame["low"], frame["high"] = low * factor, high * factor
    frame["rounding"] = np.where(np.isnan(number), np.nan, 0.5 * 10.0**-decimals) * factor
    frame["kind"], frame["grouped"] = pd.Categorical.from_codes(kind, names), grouped


def _times(frame: pd.DataFrame, sent: dict[str, pa.ChunkedArray]) -> None:
    codes, texts = _distinct(sent["collected_at"])
    utc = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True, errors="coerce")
    local = pd.to_datetime(pd.Series(texts).str[:19].where(utc.notna()), format="ISO8601", errors="coerce")
    clock = np.array([len(t) > 10 for t in texts])
    frame["collected_at"] = utc.where(clock).astype("datetime64[us, UTC]").array[codes]
    frame["collected_local"] = local.astype("datetime64[us]").array[codes]
    frame["time_precision"] = pd.Categorical.from_codes(clock[codes].astype(np.int8), ["day", "clock"])
    frame["no_time"] = np.array([t == "" for t in texts])[codes]
    frame["month"] = _category(
        codes, [t[:7] if ok else None for t, ok in zip(texts, local.notna(), strict=True)]
    )
    codes, texts = _distinct(sent["reported_at"])
    reported = pd.to_datetime(pd.Series(texts).replace("", None), format="ISO8601", utc=True, errors="coerce")
    frame["reported_at"] = reported.astype("datetime64[us, UTC]").array[codes]
    frame["no_report"] = np.array([t == "" for t in texts])[codes]
