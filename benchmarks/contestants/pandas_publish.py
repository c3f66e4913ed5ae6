"""What of the ledger counts, and the datasets that are published, with pandas."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.contestants import ID_KEY, LAB
from benchmarks.contestants.pandas_metrics import Wide, one_metric
from benchmarks.contestants.pandas_read import table_of
from benchmarks.metric_plan import plans

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


def publish(
    inbox: Path,
    out: Path,
    frame: pd.DataFrame,
    samples: pd.DataFrame,
    cases: pd.DataFrame,
    receipts: pd.DataFrame,
) -> None:
    """results, metrics, panels, quarantine and exports."""
    said = json.loads((inbox / ".tables" / "metrics.json").read_text("utf-8"))
    winners, problems = _current(frame)
    compartments = (
        table_of(inbox, "specimens").drop_duplicates("specimen").set_index("specimen")["compartment"]
    )
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
            low, high = (end * 113.12 / 1e6 for end in table.interval("creatinine", "umol/L"))
            flag[(high < 0.3) | (low > 3.0)] = "creatinine outside 0.3 to 3.0 g/L"
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
