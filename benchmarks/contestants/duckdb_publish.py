"""What of the ledger counts, and the datasets that are published, as DuckDB SQL."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from benchmarks.contestants import ID_KEY, LAB
from benchmarks.contestants.duckdb_metrics import literal, one_metric, wide
from benchmarks.metric_plan import plans

#: how each Parquet file is written
OPTIONS = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880"


def current(db: duckdb.DuckDBPyConnection) -> None:
    """Which result counts: `samples`, `winners` and `problems`."""
    # the clock as one number: final over preliminary, then the report, then corrected over final, then arrival
    db.execute("""
        CREATE TABLE samples AS SELECT row_number() OVER () AS sid, * FROM (
            SELECT sample_key, any_value(subject) AS subject, any_value(sample) AS sample, any_value(specimen) AS specimen,
                any_value(collected_at) FILTER (accepted) AS collected_at, any_value(collected_local) FILTER (accepted) AS collected_local,
                any_value(time_precision) FILTER (accepted) AS time_precision, any_value(month) FILTER (accepted) AS month,
            FROM judged WHERE sample_key IS NOT NULL GROUP BY sample_key HAVING count(*) FILTER (accepted) > 0)
    """)
    db.execute("""
        CREATE TABLE clocked AS SELECT sid, slot, analyte, judged.specimen, low, high, accepted, reasons, status, row, export, unit, basis, kind, reported_at,
            ((status <> 'preliminary')::HUGEINT << 80) + (coalesce(epoch_us(reported_at), CASE WHEN status IN ('corrected', 'withdrawn')
                THEN epoch_us(received_at) ELSE 0 END)::HUGEINT << 24) + ((status IN ('corrected', 'withdrawn'))::HUGEINT << 20) + arrival AS clock
        FROM judged JOIN samples USING (sample_key)
    """)
    db.execute("DROP TABLE judged")
    db.execute("""CREATE TABLE refused AS SELECT sid, analyte, clock, status = 'corrected' OR NOT list_contains(reasons, 'no value') AS corrects
        FROM clocked WHERE NOT accepted AND analyte IS NOT NULL""")
    db.execute(
        """CREATE TABLE superseding AS SELECT sid, analyte, max(clock) AS until FROM refused WHERE corrects GROUP BY ALL"""
    )
    # only one in a hundred results was sent more than once: those alone are compared
    db.execute(
        """CREATE TABLE several AS SELECT sid, slot, max(clock) AS top FROM clocked WHERE accepted GROUP BY ALL HAVING count(*) > 1"""
    )
    db.execute("""
        CREATE TABLE top AS SELECT c.*, c.clock < s.until AS superseded FROM (
            SELECT c.* FROM clocked c ANTI JOIN several USING (sid, slot) WHERE accepted
            UNION ALL
            SELECT c.* FROM clocked c JOIN several s ON c.sid = s.sid AND c.slot = s.slot AND c.clock = s.top WHERE accepted
        ) c LEFT JOIN superseding s ON s.sid = c.sid AND s.analyte = c.analyte
    """)
    db.execute("""CREATE TABLE tied AS SELECT sid, slot, any_value(analyte) AS analyte,
            min(row) AS first, max(low) - min(low) > 1e-12 * max(low) OR max(high) > min(high) + CASE WHEN isinf(min(high)) THEN 0 ELSE 1e-12 * min(high) END AS conflict
        FROM top SEMI JOIN several USING (sid, slot) WHERE superseded IS NOT TRUE GROUP BY ALL HAVING count(*) > 1""")
    db.execute("""
        CREATE TABLE winners AS SELECT t.* EXCLUDE (superseded, accepted, reasons, clock) FROM top t LEFT JOIN tied USING (sid, slot)
        WHERE superseded IS NOT TRUE AND (tied.sid IS NULL OR (NOT conflict AND row = first))
    """)
    db.execute("DROP TABLE clocked")
    db.execute("""
        CREATE TABLE problems AS SELECT sid, analyte, arg_min(problem, rank) AS problem FROM (
            SELECT sid, analyte, 'conflicting results' AS problem, 0 AS rank FROM tied WHERE conflict
            UNION ALL SELECT sid, analyte, 'superseded by a quarantined correction', 1 FROM top WHERE superseded
            UNION ALL SELECT sid, analyte, 'quarantined component', 3 FROM refused) GROUP BY ALL
    """)
    db.execute("DROP TABLE top")


def publish(db: duckdb.DuckDBPyConnection, inbox: Path, out: Path) -> None:
    """results, metrics, panels, quarantine and exports."""
    said = json.loads((inbox / ".tables" / "metrics.json").read_text("utf-8"))
    db.execute(f"""
        CREATE TABLE published AS SELECT sid, '{LAB}' AS lab, month, pseudonym('subject', subject) AS subject, pseudonym('sample', sample) AS sample,
            pseudonym('sample_key', replace(sample_key, chr(31), '\\u001f')) AS sample_key, specimen, compartment, NULL::VARCHAR AS site,
            NULL::VARCHAR AS visit, NULL::VARCHAR AS timepoint, collected_at, collected_local,
            CASE WHEN time_precision = 'clock' THEN collected_local::TIME END AS local_clock_time, time_precision, 'collected' AS time_source
        FROM samples JOIN (SELECT DISTINCT specimen, compartment FROM specimens) USING (specimen)
    """)
    found = db.execute(
        "SELECT specimen, analyte, unit, slot FROM winners GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    selects, flags, panels = [], [], []
    for specimen in sorted({row[0] for row in found}):
        have: dict[str, set[str]] = {}
        for _, analyte, unit, _ in (row for row in found if row[0] == specimen):
            have.setdefault(analyte, set()).add(unit)
        mine = plans(said, specimen, have)
        used = {c for plan in mine for c in plan.components} | {"creatinine"}
        slots = {(a, u): n for s, a, u, n in found if s == specimen and a in used}
        db.execute(wide(specimen, slots))
        flags.append(f"SELECT sid, flag FROM wide_{specimen} WHERE flag IS NOT NULL")
        selects += [one_metric(plan, slots, specimen) for plan in mine]
    db.execute(f"CREATE TABLE computed AS {' UNION ALL '.join(selects)}")
    db.execute(f"CREATE TABLE flags AS {' UNION ALL '.join(flags)}")
    sample = "lab, month, subject, sample, sample_key, specimen, compartment, site, visit, timepoint, collected_at, collected_local, local_clock_time, time_precision, time_source"
    _copy(db, out, "metrics", f"""
        SELECT {sample}, metric, name, value, low, high, unit, status, reason, basis, numerator_low, numerator_high, denominator_low,
            denominator_high, component_unit, NULL::DOUBLE AS reported_low, NULL::DOUBLE AS reported_high, NULL::BOOLEAN AS reported_agrees,
            studied_in, evidence_grade, compartment || CASE WHEN evidence_grade = 'commercial_only' THEN ', commercial only' ELSE '' END AS label,
            citation, flag
        FROM computed JOIN published USING (sid)""")  # fmt: skip
    panels = ", ".join(
        f'max(value) FILTER (metric = {literal(m["metric"])}) AS "{m["metric"]}"' for m in said["metrics"]
    )
    _copy(
        db,
        out,
        "panels",
        f"""
        SELECT {sample}, p.* EXCLUDE (sid) FROM published LEFT JOIN (SELECT sid, {panels} FROM computed WHERE value IS NOT NULL GROUP BY sid) p USING (sid)""",
    )
    _copy(
        db,
        out,
        "results",
        f"""
        SELECT {sample.replace("specimen,", "published.specimen,")}, analyte, false AS is_ratio, CASE WHEN low = high THEN low END AS value, low, high, unit, basis,
            kind AS censoring, NULL::DOUBLE AS rel_sd, NULL::DOUBLE AS ref_low, NULL::DOUBLE AS ref_high, NULL::VARCHAR AS method, status, flag,
            reported_at, export, 1::INTEGER AS edition, row, '1' AS item
        FROM winners JOIN published USING (sid) LEFT JOIN flags USING (sid)""",
    )
    mends = " ".join(f"WHEN {literal(reason)} THEN {literal(mend)}" for reason, mend in said["mends"].items())
    _copy(
        db,
        out,
        "quarantine",
        f"""
        SELECT lab, coalesce(month, 'undated') AS month, export, edition, row, item, layout, role, unnest(reasons) AS reason,
            CASE reason {mends} END AS mend FROM '{out}/ledger/rows.parquet' WHERE NOT accepted""",
    )
    _copy(
        db,
        out,
        "exports",
        f"""
        SELECT '{LAB}' AS lab, strftime(received_at, '%Y-%m') AS month, export, 1::INTEGER AS edition, layout, reason, rows,
            accepted_rows AS accepted, quarantined_rows AS quarantined, 'header: 1' AS skipped,
            nullif(array_to_string(list_transform(reason_counts, lambda r: r.reason || ': ' || r.count), '; '), '') AS reasons,
            size, reading_hash, received_at, recorded_at FROM receipts""",
    )


def _copy(db: duckdb.DuckDBPyConnection, out: Path, dataset: str, query: str) -> None:
    """One folder per lab and month, lab and month in the files too. A COPY for each month is no faster."""
    (out / "outputs").mkdir(exist_ok=True)
    partitioned = f"{OPTIONS}, PARTITION_BY (lab, month), WRITE_PARTITION_COLUMNS true"
    db.execute(f"COPY ({query}) TO '{out}/outputs/{dataset}' ({partitioned})")


def pseudonyms(db: duckdb.DuckDBPyConnection) -> None:
    """HMAC-SHA256 as two hashes, so that it runs on all threads."""
    block = ID_KEY.encode().ljust(64, b"\0")
    inner, outer = ("".join(f"\\x{byte ^ pad:02X}" for byte in block) for pad in (0x36, 0x5C))
    db.execute(f"""
        CREATE MACRO pseudonym(what, id) AS CASE WHEN id IS NOT NULL THEN left(sha256('{outer}'::BLOB || unhex(sha256('{inner}'::BLOB ||
            encode('["{LAB}", "' || what || '", "' || id || '"]')))), 32) END
    """)
