"""The same job with pandas and Pandera, as a user who knows both well would write it.

Texts that repeat are factorised and looked up once; strings are Arrow's; Pandera checks all rules lazily. What the
generated data cannot show is left out, as in `duckdb_sql`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa_check
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.contestants import ID_KEY, LAB, Stages, arguments, exports_of
from benchmarks.contestants.pandas_metrics import PROBLEMS, Wide, one_metric
from benchmarks.metric_plan import plans

_SENT = ("subject", "sample", "specimen", "analyte", "value", "unit", "collected_at", "reported_at", "status")
_TOKENS = dict.fromkeys(("", "na", "n/a", "null", "-", "."), "missing")
_TOKENS |= dict.fromkeys(("nd", "n.d.", "not detected", "none detected"), "not detected")
_TOKENS |= dict.fromkeys(
    ("<lloq", "<loq", "<lod", "blq", "bloq", "bql", "<llq", "trace", "traces", "spuren"), "below"
)
_TOKENS |= dict.fromkeys((">uloq", ">ulq", "alq", "aql"), "above")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_GROUPED = r"[+-]?\d{1,3}([.,]\d{3})+"

#: what a receipt of the ledger has and the dataset `exports` has not
_NOT_PUBLISHED = [
    "reason_counts",
    "notes",
    "months",
    "name",
    "action",
    "action_reason",
    "series",
    "layout_digest",
    "reading_catalogue",
]

#: reason -> whether a row is free of it
RULES = {
    "unknown analyte": lambda f: f["analyte"].notna() | f["ambiguous"],
    "ambiguous analyte": lambda f: ~f["ambiguous"],
    "no value": lambda f: f["kind"] != "missing",
    "unreadable value": lambda f: f["kind"].notna() | f["grouped"],
    "ambiguous number": lambda f: f["kind"].notna() | ~f["grouped"],
    "impossible value": lambda f: ~(
        (f["low"] < 0) | (f["high"] < 0) | ((f["high"] <= 0) & (f["kind"] == "below"))
        | ((f["low"] > 6e7) & (f["unit"] == "umol/L")) | (f["low"] > 1e12)
    ),
    "no unit": lambda f: f["analyte"].isna() | ~f["no_unit"],
    "unknown unit": lambda f: f["analyte"].isna() | f["no_unit"] | f["basis"].notna(),
    "unit cannot be converted": lambda f: f["basis"].isna() | f["factor"].notna(),
    "unit does not fit the specimen": lambda f: f["factor"].isna() | f["specimen"].isna() | f["fits"],
    "unknown specimen": lambda f: f["specimen"].notna() | f["no_specimen"],
    "no specimen": lambda f: ~f["no_specimen"],
    "no sample id": lambda f: f["sample"].notna(),
    "no collection time": lambda f: ~f["no_time"],
    "unreadable time": lambda f: f["no_time"] | f["collected_local"].notna(),
    "unreadable report time": lambda f: f["no_report"] | f["reported_at"].notna(),
    "collected in the future": lambda f: ~(f["collected_local"] > f["received_at"].dt.tz_localize(None) + pd.Timedelta(hours=14)),
    "reported in the future": lambda f: ~(f["reported_at"] > f["received_at"] + pd.Timedelta(hours=14)),
    "unknown status": lambda f: f["status"].notna(),
    "control character": lambda f: ~f["control"],
    "text too long": lambda f: ~f["too_long"],
}  # fmt: skip


def _read(inbox: Path) -> tuple[dict[str, pa.ChunkedArray], pd.DataFrame]:
    """The texts as sent with export and row, and the exports."""
    options = {
        "read_options": pa.csv.ReadOptions(column_names=list(_SENT), skip_rows=1, block_size=1 << 24),
        "convert_options": pa.csv.ConvertOptions(
            column_types=dict.fromkeys(_SENT, pa.string()), strings_can_be_null=False
        ),
    }
    tables, exports = [], []
    for path in exports_of(inbox):
        tables.append(pa.csv.read_csv(path, **options))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        exports.append((path.name, digest, path.stat().st_size, len(tables[-1]), pd.Timestamp.now("UTC")))
    table = pa.concat_tables(tables).combine_chunks()
    return {name: table[name] for name in _SENT}, pd.DataFrame(
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


def _table(inbox: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(inbox / ".tables" / f"{name}.parquet")


def _typed(inbox: Path, sent: dict[str, pa.ChunkedArray], exports: pd.DataFrame) -> pd.DataFrame:
    """Typed results, with what the rules look at."""
    synonyms = _table(inbox, "synonyms").set_index("text")
    analyte_codes, analyte_texts = _distinct(sent["analyte"])
    ids = synonyms["analyte"].reindex([t.lower() for t in analyte_texts])
    analytes = [None if pd.isna(i) else i for i in ids]
    ambiguous = synonyms["ambiguous"].reindex([t.lower() for t in analyte_texts]).fillna(False).to_numpy(bool)
    specimens = _table(inbox, "specimens").set_index("text")["specimen"].to_dict()
    specimen_codes, specimen_texts = _distinct(sent["specimen"])
    where = [specimens.get(t.lower()) for t in specimen_texts]
    unit_codes, unit_texts = _distinct(sent["unit"])
    status_codes, status_texts = _distinct(sent["status"])
    statuses = _table(inbox, "statuses").set_index("text")["status"].to_dict() | {"": "final"}
    # analyte and unit together: a small table, looked up by one code
    told = _table(inbox, "conversions").set_index(["analyte", "unit_text"])
    pairs = told.reindex(pd.MultiIndex.from_product([analytes, unit_texts])).reset_index(drop=True)
    pair = analyte_codes.astype(np.int32) * len(unit_texts) + unit_codes
    bases = set(_table(inbox, "bases").itertuples(index=False, name=None))
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


def _judge(frame: pd.DataFrame) -> pd.DataFrame:
    """All reasons of each refused row, by Pandera: columns row_at, reason, in the order of the rules."""
    # one column per rule, so that a failure names the row once and copies nothing else
    free = pd.DataFrame(
        {
            name: pd.Series(np.asarray(rule(frame), dtype=bool), index=frame.index)
            for name, rule in RULES.items()
        },
        copy=False,
    )
    schema = pa_check.DataFrameSchema(
        {n: pa_check.Column(bool, pa_check.Check(lambda s: s, name=n, error=n)) for n in RULES}
    )
    try:
        schema.validate(free, lazy=True)
    except pa_check.errors.SchemaErrors as error:
        cases = error.failure_cases[["index", "check"]].rename(columns={"index": "at", "check": "reason"})
        order = {name: n for n, name in enumerate(RULES)}
        return cases.sort_values(
            ["at", "reason"], key=lambda c: c.map(order) if c.name == "reason" else c
        ).reset_index(drop=True)
    return pd.DataFrame({"at": pd.Series(dtype=int), "reason": pd.Series(dtype=str)})


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Number the samples (`sid`, -1 for none); one row per sample with its key."""
    code = frame["specimen"].cat.codes.to_numpy().astype(np.int64)
    subject, _ = pd.factorize(frame["subject"])
    sample, _ = pd.factorize(frame["sample"])
    whole = (subject.astype(np.int64) * (sample.max() + 2) + sample) * 64 + code
    whole[(sample < 0) | (code < 0) | (subject < 0)] = -1
    sid, distinct = pd.factorize(np.where(whole < 0, np.nan, whole))
    frame["sid"] = sid
    has = sid >= 0
    first = (
        pd.Series(np.flatnonzero(has)).groupby(sid[has]).first().to_numpy()
        if len(distinct)
        else np.array([], int)
    )
    samples = frame.loc[first, ["subject", "sample", "specimen"]].reset_index(drop=True)
    samples["sample_key"] = (
        "subject:"
        + samples["subject"].astype("str")
        + "\x1f"
        + samples["sample"].astype("str")
        + "\x1f"
        + samples["specimen"].astype("str")
        + "\x1f\x1f\x1f"
    )
    keys = pa.DictionaryArray.from_arrays(
        pa.array(sid, mask=sid < 0).cast(pa.int32()), pa.array(samples["sample_key"], pa.string())
    )
    frame["sample_key"] = pd.arrays.ArrowExtensionArray(pa.chunked_array([keys]))
    return samples


def _write_ledger(
    frame: pd.DataFrame, sent: dict, cases: pd.DataFrame, exports: pd.DataFrame, out: Path
) -> pd.DataFrame:
    """Rows and receipts; gives the receipts."""
    (out / "ledger").mkdir()
    names = ("export", "row", "received_at", "sample_key", "subject", "sample", "specimen", "analyte", "low", "high", "rounding", "unit",
             "basis", "status", "collected_at", "collected_local", "time_precision", "reported_at", "month", "accepted")  # fmt: skip
    columns = {name: pa.array(frame[name], from_pandas=True) for name in names} | {
        "censoring": pa.array(frame["kind"], from_pandas=True)
    }
    columns |= {f"sent_{name}": sent[name] for name in _SENT if name not in ("subject", "sample")}
    size = len(frame)
    said = {
        "lab": LAB,
        "kind": "result",
        "item": "1",
        "layout": "generic",
        "reading_hash": "pandas",
        "role": "sample",
        "replicates": "refuse",
        "time_source": "collected",
    }
    index = pa.array(np.zeros(size, np.int8))
    columns |= {name: pa.DictionaryArray.from_arrays(index, [text]) for name, text in said.items()}
    columns |= {
        "edition": pa.array(np.ones(size, np.int32)),
        "is_ratio": pa.array(np.zeros(size, bool)),
    }
    offsets = np.zeros(size + 1, np.int32)
    np.add.at(offsets, cases["at"].to_numpy(int) + 1, 1)
    columns["reasons"] = pa.ListArray.from_arrays(
        offsets.cumsum(dtype=np.int32), pa.array(cases["reason"], pa.string())
    )
    pq.write_table(
        pa.table(columns), out / "ledger" / "rows.parquet", compression="zstd", compression_level=1
    )
    where = frame["arrival"].to_numpy()
    receipts = exports.assign(accepted_rows=np.bincount(where, frame["accepted"], len(exports)).astype(int), layout="generic", reading_hash="pandas",
                              recorded_at=pd.Timestamp.now("UTC"), reason=None)  # fmt: skip
    receipts["quarantined_rows"] = receipts["rows"] - receipts["accepted_rows"]
    counts = cases.groupby([where[cases["at"].to_numpy(int)], "reason"]).size()
    receipts["reason_counts"] = [
        [{"reason": r, "count": int(n)} for (a, r), n in counts.items() if a == at]
        for at in range(len(exports))
    ]
    receipts["skipped"] = [[{"name": "header", "count": 1}]] * len(exports)
    receipts[["action", "action_reason", "series", "layout_digest", "reading_catalogue"]] = None
    receipts["notes"] = [[]] * len(exports)
    months = frame[["arrival", "month"]].drop_duplicates()
    receipts["months"] = [
        sorted(months.loc[months["arrival"] == at, "month"].astype(object).fillna("undated"))
        for at in range(len(exports))
    ]
    receipts.to_parquet(out / "ledger" / "receipts.parquet")
    return receipts


def _current(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Which result counts: the winners, and what is known of an analyte that has none."""
    late = frame["status"].isin(["corrected", "withdrawn"]).to_numpy()
    reported = frame["reported_at"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    arrived = frame["received_at"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    reported = np.where(frame["reported_at"].notna(), reported, np.where(late, arrived, 0))
    final = (frame["status"] != "preliminary").to_numpy()
    clock = (
        (final.astype(np.int64) << 60)
        | (reported << 18)
        | (late.astype(np.int64) << 17)
        | frame["arrival"].to_numpy()
    )
    analyte = frame["analyte"].cat.codes.to_numpy().astype(np.int64)
    sid, accepted = frame["sid"].to_numpy(), frame["accepted"].to_numpy()
    result = sid * 4096 + analyte
    problems = []
    refused = np.flatnonzero(~accepted & (sid >= 0) & (analyte >= 0))
    problems.append(pd.DataFrame({"at": refused, "problem": 3}))
    corrects = refused[(late[refused]) | (frame["kind"].to_numpy()[refused] != "missing")]
    until = pd.Series(clock[corrects]).groupby(result[corrects]).max()
    values = np.flatnonzero(accepted)
    touched = values[np.isin(result[values], until.index)]
    out = touched[clock[touched] < until.reindex(result[touched]).to_numpy()]
    problems.append(pd.DataFrame({"at": out, "problem": 2}))
    values = np.setdiff1d(values, out, assume_unique=True)
    # only one in a hundred results was sent more than once: those alone are compared
    slot = result[values] * 64 + frame["unit"].cat.codes.to_numpy()[values]
    again = pd.Series(slot).duplicated(keep=False).to_numpy()
    several = frame.loc[values[again], ["low", "high"]].assign(slot=slot[again], clock=clock[values[again]])
    top = several[several["clock"] == several.groupby("slot")["clock"].transform("max")]
    groups = top.groupby("slot")
    low, high = (groups[end].agg(["min", "max"]) for end in ("low", "high"))
    same = (low["max"] - low["min"] <= 1e-12 * low["max"]) & (
        (high["max"] == high["min"])
        | (np.isfinite(high["max"]) & (high["max"] - high["min"] <= 1e-12 * high["max"]))
    )
    first = top.reset_index().sort_values("index").groupby("slot")["index"].first()
    problems.append(pd.DataFrame({"at": first[~same].to_numpy(), "problem": 1}))
    chosen = np.sort(np.concatenate([values[~again], first[same].to_numpy()]))
    told = pd.concat(problems).astype(int).sort_values("problem")
    told["sid"], told["analyte"] = sid[told["at"]], frame["analyte"].array[told["at"]]
    has = pd.unique(sid[accepted])
    told = told.drop_duplicates(["sid", "analyte"]).loc[lambda t: t["sid"].isin(has)]
    return frame.loc[chosen], told


def _pseudonyms(kind: str, ids: pd.Series) -> pd.Series:
    key = ID_KEY.encode()
    named = {
        i: hmac.digest(key, json.dumps([LAB, kind, i]).encode(), "sha256").hex()[:32] for i in ids.unique()
    }
    return ids.map(named)


def _put(out: Path, dataset: str, frame: pd.DataFrame) -> None:
    """One file per month."""
    folder = out / "outputs" / dataset / LAB
    folder.mkdir(parents=True)
    for month, part in frame.groupby("month", observed=True, sort=False):
        part.to_parquet(folder / f"{month}.parquet", compression="zstd", compression_level=1, index=False)


def _publish(
    inbox: Path,
    out: Path,
    frame: pd.DataFrame,
    samples: pd.DataFrame,
    cases: pd.DataFrame,
    receipts: pd.DataFrame,
) -> None:
    said = json.loads((inbox / ".tables" / "metrics.json").read_text("utf-8"))
    winners, problems = _current(frame)
    compartments = _table(inbox, "specimens").drop_duplicates("specimen").set_index("specimen")["compartment"]
    seen = (
        frame.loc[frame["accepted"], ["sid", "month", "collected_at", "collected_local", "time_precision"]]
        .drop_duplicates("sid")
        .set_index("sid")
    )
    about = pd.DataFrame({"lab": LAB}, index=seen.index).join(seen)
    who = samples.loc[seen.index]
    for name in ("subject", "sample", "sample_key"):
        about[name] = _pseudonyms(name, who[name].astype(object)).astype("category")
    about["specimen"], about["compartment"] = (
        who["specimen"],
        who["specimen"].astype(object).map(compartments),
    )
    about["local_clock_time"] = about["collected_local"].dt.time.where(about["time_precision"] == "clock")
    about[["site", "visit", "timepoint"]] = None
    about["time_source"] = "collected"
    about[["lab", "compartment", "time_source"]] = about[["lab", "compartment", "time_source"]].astype(
        "category"
    )
    metrics, panels, flags = [], [], []
    for specimen, mine in winners.groupby("specimen", observed=True):
        sids = seen.index[who["specimen"] == specimen]
        local = pd.Series(np.arange(len(sids)), index=sids)
        table = Wide(len(sids), mine.assign(local=local.loc[mine["sid"]].to_numpy()),
                     problems[problems["sid"].isin(sids)].assign(local=lambda p, local=local: local.loc[p["sid"]].to_numpy()))  # fmt: skip
        flag = np.full(len(sids), None, object)
        if str(specimen).startswith("urine"):
            grams = table.interval("creatinine", "umol/L")[0] * 113.12 / 1e6
            flag[(grams < 0.3) | (grams > 3.0)] = "creatinine outside 0.3 to 3.0 g/L"
        flags.append(pd.Series(flag, index=sids))
        values = {}
        for plan in plans(said, str(specimen), table.have):
            m = plan.about
            figures = one_metric(plan, table)
            values[m["metric"]] = figures["value"]
            fixed = {n: m[n] for n in ("metric", "name", "unit", "studied_in", "evidence_grade", "citation")}
            metrics.append(
                pd.DataFrame(figures).assign(
                    sid=sids,
                    flag=flag,
                    **{
                        k: pd.Categorical.from_codes(np.zeros(len(sids), np.int8), [v])
                        for k, v in fixed.items()
                    },
                )
            )
        panels.append(pd.DataFrame(values, index=sids))
    everything = pd.concat(
        [m.astype({n: object for n in m.columns if m[n].dtype == "category"}) for m in metrics],
        ignore_index=True,
    )
    for name in (
        "metric",
        "name",
        "unit",
        "studied_in",
        "evidence_grade",
        "citation",
        "status",
        "reason",
        "basis",
        "component_unit",
        "flag",
    ):
        everything[name] = everything[name].astype("category")
    everything = everything.join(about, on="sid").drop(columns="sid")
    commercial = (everything["evidence_grade"] == "commercial_only").map(
        {True: ", commercial only", False: ""}
    )
    everything["label"] = (everything["compartment"].astype(object) + commercial).astype("category")
    everything[["reported_low", "reported_high", "reported_agrees"]] = np.nan
    _put(out, "metrics", everything)
    computed = [m["metric"] for m in said["metrics"]]
    _put(out, "panels", about.join(pd.concat(panels).reindex(columns=computed)))
    results = winners[
        ["sid", "analyte", "low", "high", "unit", "basis", "kind", "status", "reported_at", "export", "row"]
    ].rename(columns={"kind": "censoring"})
    results = (
        results.join(about, on="sid")
        .join(pd.concat(flags).rename("flag").astype("category"), on="sid")
        .drop(columns="sid")
    )
    results["value"] = results["low"].where(results["low"] == results["high"])
    results = results.assign(
        is_ratio=False,
        rel_sd=np.nan,
        ref_low=np.nan,
        ref_high=np.nan,
        method=None,
        edition=np.int32(1),
        item=pd.Categorical.from_codes(np.zeros(len(results), np.int8), ["1"]),
    )
    _put(out, "results", results)
    where = cases["at"].to_numpy(int)
    refused = frame.loc[where, ["month", "export", "row"]].astype({"month": object}).reset_index(drop=True).assign(
        lab=LAB, edition=1, item="1", layout="generic", role="sample", reason=cases["reason"], mend=cases["reason"].map(said["mends"]))  # fmt: skip
    refused["month"] = refused["month"].fillna("undated")
    _put(out, "quarantine", refused)
    counted = receipts["reason_counts"].map(
        lambda counts: "; ".join(f"{c['reason']}: {c['count']}" for c in counts)
    )
    _put(out, "exports", receipts.drop(columns=_NOT_PUBLISHED).assign(
        lab=LAB, month=receipts["received_at"].dt.strftime("%Y-%m"), edition=1, skipped="header: 1", reasons=counted,
    ).rename(columns={"accepted_rows": "accepted", "quarantined_rows": "quarantined"}))  # fmt: skip


def main() -> None:
    """Read, judge, write the ledger, choose what counts, publish."""
    assert len(PROBLEMS) == 4
    inbox, out = arguments()
    stages = Stages()
    with stages.stage("read"):
        sent, exports = _read(inbox)
    with stages.stage("standardise"):
        frame = _typed(inbox, sent, exports)
        samples = _keys(frame)
    with stages.stage("judge"):
        cases = _judge(frame)
        frame["accepted"] = True
        frame.loc[cases["at"].astype(int), "accepted"] = False
    with stages.stage("write the ledger"):
        receipts = _write_ledger(frame, sent, cases, exports, out)
    del sent
    with stages.stage("metrics and outputs"):
        _publish(inbox, out, frame, samples, cases, receipts)
    stages.report()


if __name__ == "__main__":
    main()
