"""The same job with pandas and Pandera, as a user who knows both well would write it: the rules, the ledger, and the
whole. Pandera checks all rules lazily. What the generated data cannot show is left out, as in `duckdb_sql`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa_check
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contestants import LAB, Stages, arguments
from benchmarks.contestants.pandas_publish import publish
from benchmarks.contestants.pandas_read import SENT, read, typed

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


def _judge(frame: pd.DataFrame) -> pd.DataFrame:
    """All reasons of each refused row, by Pandera: columns at, reason, in the order of the rules."""
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
    columns |= {f"sent_{name}": sent[name] for name in SENT if name not in ("subject", "sample")}
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


def main() -> None:
    """Read, judge, write the ledger, choose what counts, publish."""
    inbox, out = arguments()
    stages = Stages()
    with stages.stage("read"):
        sent, exports = read(inbox)
    with stages.stage("standardise"):
        frame = typed(inbox, sent, exports)
        samples = _keys(frame)
    with stages.stage("judge"):
        cases = _judge(frame)
        frame["accepted"] = True
        frame.loc[cases["at"].astype(int), "accepted"] = False
    with stages.stage("write the ledger"):
        receipts = _write_ledger(frame, sent, cases, exports, out)
    del sent
    with stages.stage("metrics and outputs"):
        publish(inbox, out, frame, samples, cases, receipts)
    stages.report()


if __name__ == "__main__":
    main()
