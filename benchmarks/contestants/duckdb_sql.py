"""The same job as DuckDB SQL, as a user who knows SQL well would write it.

What the generated data cannot show is left out: withdrawals, replicates, methods, samples without a subject, other
number styles and date formats than ISO, and ratios that the lab prints itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import duckdb

from benchmarks.contestants import ID_KEY, LAB, Stages, arguments, exports_of
from benchmarks.contestants.duckdb_metrics import literal, one_metric, wide
from benchmarks.metric_plan import plans

#: the columns of the export, in order; as sent
_SENT = ("subject", "sample", "specimen", "analyte", "value", "unit", "collected_at", "reported_at", "status")
_MISSING = "('', 'na', 'n/a', 'null', '-', '.')"
_NOT_DETECTED = "('nd', 'n.d.', 'not detected', 'none detected')"
_BELOW = "('<lloq', '<loq', '<lod', 'blq', 'bloq', 'bql', '<llq', 'trace', 'traces', 'spuren')"
_ABOVE = "('>uloq', '>ulq', 'alq', 'aql')"
_OPTIONS = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880"

#: reason -> when it applies, over the columns of `typed`
RULES = {
    "unknown analyte": "analyte IS NULL AND NOT coalesce(ambiguous, false)",
    "ambiguous analyte": "coalesce(ambiguous, false)",
    "no value": "kind = 'missing'",
    "unreadable value": "kind IS NULL AND NOT regexp_full_match(core, '[+-]?\\d{1,3}([.,]\\d{3})+')",
    "ambiguous number": "kind IS NULL AND regexp_full_match(core, '[+-]?\\d{1,3}([.,]\\d{3})+')",
    "impossible value": "coalesce(low < 0 OR high < 0 OR (high <= 0 AND kind = 'below') "
    "OR (low > 6e7 AND unit = 'umol/L') OR low > 1e12, false)",
    "no unit": "analyte IS NOT NULL AND unit_text = ''",
    "unknown unit": "analyte IS NOT NULL AND unit_text <> '' AND basis IS NULL",
    "unit cannot be converted": "basis IS NOT NULL AND factor IS NULL",
    "unit does not fit the specimen": "factor IS NOT NULL AND specimen IS NOT NULL AND fits IS NULL",
    "unknown specimen": "specimen IS NULL AND specimen_text <> ''",
    "no specimen": "specimen IS NULL AND specimen_text = ''",
    "no sample id": "sample IS NULL",
    "no collection time": "collected_text = ''",
    "unreadable time": "collected_text <> '' AND collected_local IS NULL",
    "unreadable report time": "reported_text <> '' AND reported_at IS NULL",
    "collected in the future": "coalesce(collected_local > received_at::TIMESTAMP + INTERVAL 14 HOUR, false)",
    "reported in the future": "coalesce(reported_at > received_at + INTERVAL 14 HOUR, false)",
    "unknown status": "status IS NULL",
    "control character": "regexp_matches(concat(sent_subject, sent_sample, sent_analyte, sent_value, sent_unit, sent_specimen, sent_collected_at), '[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]')",
    "text too long": "greatest(strlen(sent_subject), strlen(sent_sample), strlen(sent_analyte), strlen(sent_value), strlen(sent_unit)) > 32768",
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(db: duckdb.DuckDBPyConnection, inbox: Path) -> None:
    """The raw text, the exports and the tables of the catalogue."""
    files = exports_of(inbox)
    for name in ("synonyms", "specimens", "bases", "conversions", "statuses"):
        db.execute(f"CREATE TABLE {name} AS FROM '{inbox / '.tables' / name}.parquet'")
    # analyte and canonical unit as one small number: what is grouped and pivoted by later
    db.execute("""CREATE TABLE slots AS SELECT row_number() OVER ()::SMALLINT AS slot, analyte, unit FROM
        (SELECT DISTINCT analyte, unit FROM conversions WHERE unit IS NOT NULL)""")
    db.execute("""CREATE TABLE readings AS SELECT c.*, s.slot FROM conversions c LEFT JOIN slots s
        ON c.analyte = s.analyte AND c.unit = s.unit""")
    exports = [(n, f.name, _sha256(f), f.stat().st_size) for n, f in enumerate(files)]
    db.execute("""CREATE TABLE sources (arrival INTEGER, name VARCHAR, export VARCHAR, size BIGINT,
        received_at TIMESTAMPTZ DEFAULT now())""")
    db.executemany("INSERT INTO sources (arrival, name, export, size) VALUES (?, ?, ?, ?)", exports)
    several = len(files) > 1
    columns = ", ".join(f"sent_{name}: 'VARCHAR'" for name in _SENT)
    db.execute(
        f"CREATE TABLE raw AS SELECT * {', filename AS file' if several else ''} FROM read_csv(?, all_varchar=true, header=true, delim=',', "
        f"quote='\"', escape='\"', auto_detect=false, strict_mode=true, columns={{{columns}}}"
        f"{', filename=true' if several else ''})",
        [[str(f) for f in files]],
    )
    if several:
        db.execute("""CREATE TABLE starts AS SELECT min(raw.rowid) AS start, arrival, export, received_at
            FROM raw JOIN sources ON parse_filename(file) = name GROUP BY ALL""")


def _position(db: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """FROM clause and expression of the 1-based record in its export (the header is record 1)."""
    if db.execute("SELECT count(*) FROM sources").fetchone() == (1,):
        return "raw, sources", "raw.rowid + 2"
    return "raw ASOF JOIN starts ON raw.rowid >= starts.start", "raw.rowid - starts.start + 2"


def _ledger(db: duckdb.DuckDBPyConnection) -> None:
    """Every row typed and judged, with all reasons."""
    source, row = _position(db)
    mask = " + ".join(f"(coalesce({when}, false)::INTEGER << {n})" for n, when in enumerate(RULES.values()))
    reasons = ", ".join(
        f"CASE WHEN mask & {1 << n} > 0 THEN {literal(name)} END" for n, name in enumerate(RULES)
    )
    db.execute(f"""
        CREATE TABLE judged AS
        -- one step after another: an alias used within the same SELECT would be computed again wherever it stands
        WITH trimmed AS (
            SELECT {row} AS row, export, arrival, received_at, raw.*{" EXCLUDE (file)" if "ASOF" in source else ""},
                nullif(trim(sent_subject), '') AS subject, nullif(trim(sent_sample), '') AS sample,
                coalesce(trim(sent_specimen), '') AS specimen_text, coalesce(trim(sent_unit), '') AS unit_text,
                coalesce(trim(sent_collected_at), '') AS collected_text, coalesce(trim(sent_reported_at), '') AS reported_text,
                coalesce(trim(sent_value), '') AS value_text,
                TRY_CAST(sent_collected_at AS TIMESTAMPTZ) AS instant, TRY_CAST(sent_reported_at AS TIMESTAMPTZ) AS reported_at
            FROM {source}
        ), tokens AS (
            SELECT *, value_text[1] AS first_letter, TRY_CAST(ltrim(value_text, '<>=≤≥ ') AS DOUBLE) AS parsed FROM trimmed
        ), numbers AS (
            SELECT *, CASE WHEN isfinite(parsed) THEN parsed END AS number,
                CASE WHEN instant IS NOT NULL THEN TRY_CAST(left(collected_text, 19) AS TIMESTAMP) END AS collected_local,
                length(collected_text) > 10 AS has_clock,
                -- what is no number may be a word for one
                CASE WHEN parsed IS NULL THEN CASE WHEN lower(value_text) IN {_MISSING} THEN 'missing'
                    WHEN lower(value_text) IN {_NOT_DETECTED} THEN 'not detected' WHEN lower(value_text) IN {_BELOW} THEN 'below'
                    WHEN lower(value_text) IN {_ABOVE} THEN 'above' END END AS token
            FROM tokens
        ), text AS (
            SELECT *, CASE WHEN token IS NULL THEN ltrim(value_text, '<>=≤≥ ') END AS core,
                CASE WHEN token IS NOT NULL THEN token WHEN number IS NULL THEN NULL
                    WHEN first_letter IN ('<', '≤') OR (first_letter = '=' AND value_text[2] = '<') THEN 'below'
                    WHEN first_letter IN ('>', '≥') OR (first_letter = '=' AND value_text[2] = '>') THEN 'above' ELSE 'none' END AS kind
            FROM numbers
        ), typed AS (
            SELECT text.*, synonyms.analyte, synonyms.ambiguous, s.specimen, r.unit, r.basis, r.slot, r.factor,
                b.basis AS fits, coalesce(st.status, CASE WHEN coalesce(trim(sent_status), '') = '' THEN 'final' END) AS status,
                CASE WHEN kind IN ('none', 'above') THEN coalesce(number, 0) WHEN number < 0 THEN number
                    WHEN kind IN ('below', 'not detected') THEN 0.0 END * factor AS low,
                CASE WHEN kind = 'none' THEN number WHEN kind = 'above' THEN 'inf'::DOUBLE
                    WHEN kind IN ('below', 'not detected') THEN coalesce(number, 'inf'::DOUBLE) END * factor AS high,
                CASE WHEN strpos(core, '.') > 0 THEN 0.5 * pow(10, strpos(core, '.') - length(core)) WHEN core IS NOT NULL THEN 0.5 END
                    * factor AS rounding
            FROM text
            LEFT JOIN synonyms ON lower(trim(text.sent_analyte)) = synonyms.text
            LEFT JOIN specimens s ON lower(text.specimen_text) = s.text
            LEFT JOIN readings r ON r.analyte = synonyms.analyte AND r.unit_text = text.unit_text
            LEFT JOIN bases b ON b.specimen = s.specimen AND b.basis = r.basis
            LEFT JOIN statuses st ON lower(trim(text.sent_status)) = st.text
        ), masked AS (SELECT *, {mask} AS mask FROM typed)
        SELECT * EXCLUDE (mask, first_letter, token, core, parsed, number, has_clock, instant, fits, specimen_text,
                unit_text, collected_text, reported_text, value_text, ambiguous),
            CASE WHEN has_clock THEN instant END AS collected_at, CASE WHEN has_clock THEN 'clock' ELSE 'day' END AS time_precision,
            left(CASE WHEN collected_local IS NOT NULL THEN collected_text END, 7) AS month, mask = 0 AS accepted,
            CASE WHEN mask = 0 THEN []::VARCHAR[] ELSE list_filter([{reasons}], lambda x: x IS NOT NULL) END AS reasons,
            CASE WHEN sample IS NOT NULL AND specimen IS NOT NULL THEN
                'subject:' || subject || chr(31) || sample || chr(31) || specimen || chr(31) || chr(31) || chr(31) END AS sample_key
        FROM masked
    """)
    db.execute("DROP TABLE raw")


def _write_ledger(db: duckdb.DuckDBPyConnection, out: Path) -> None:
    """Rows and receipts with the columns of the project's ledger, but for those that hold nothing."""
    sent = ", ".join(f"sent_{name}" for name in _SENT if name not in ("subject", "sample"))
    (out / "ledger").mkdir()
    db.execute(f"""
        COPY (SELECT '{LAB}' AS lab, 'result' AS kind, 1::INTEGER AS edition, export, row, '1' AS item, 'generic' AS layout, 'duckdb' AS reading_hash,
            received_at, sample_key, subject, sample, specimen,
            analyte, false AS is_ratio, low, high, rounding, unit, basis, kind AS censoring, status, 'sample' AS role,
            'refuse' AS replicates, collected_at, collected_local, time_precision, 'collected' AS time_source, reported_at, month,
            accepted, reasons, {sent}
        FROM judged) TO '{out}/ledger/rows.parquet' ({_OPTIONS})
    """)
    db.execute("""
        CREATE TABLE receipts AS SELECT e.export, name, size, 'generic' AS layout, 'duckdb' AS reading_hash, e.received_at,
            now() AS recorded_at, NULL::VARCHAR AS action, NULL::VARCHAR AS action_reason, NULL::VARCHAR AS series,
            NULL::VARCHAR AS layout_digest, NULL::VARCHAR AS reading_catalogue, rows, accepted_rows, rows - accepted_rows AS quarantined_rows, NULL::VARCHAR AS reason,
            coalesce(reason_counts, []) AS reason_counts, [{'name': 'header', 'count': 1::BIGINT}] AS skipped,
            []::VARCHAR[] AS notes, months
        FROM sources e
        JOIN (SELECT export, count(*) AS rows, count(*) FILTER (accepted) AS accepted_rows,
              list(DISTINCT coalesce(month, 'undated')) AS months FROM judged GROUP BY export) c USING (export)
        LEFT JOIN (SELECT export, list({'reason': reason, 'count': n} ORDER BY reason) AS reason_counts FROM
            (SELECT export, reason, count(*) AS n FROM (SELECT export, unnest(reasons) AS reason FROM judged WHERE NOT accepted) GROUP BY ALL)
            GROUP BY export) USING (export)
    """)
    db.execute(f"COPY receipts TO '{out}/ledger/receipts.parquet' ({_OPTIONS})")


def _current(db: duckdb.DuckDBPyConnection) -> None:
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


def _publish(db: duckdb.DuckDBPyConnection, inbox: Path, out: Path) -> None:
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
    partitioned = f"{_OPTIONS}, PARTITION_BY (lab, month), WRITE_PARTITION_COLUMNS true"
    db.execute(f"COPY ({query}) TO '{out}/outputs/{dataset}' ({partitioned})")


def _pseudonyms(db: duckdb.DuckDBPyConnection) -> None:
    """HMAC-SHA256 as two hashes, so that it runs on all threads."""
    block = ID_KEY.encode().ljust(64, b"\0")
    inner, outer = ("".join(f"\\x{byte ^ pad:02X}" for byte in block) for pad in (0x36, 0x5C))
    db.execute(f"""
        CREATE MACRO pseudonym(what, id) AS CASE WHEN id IS NOT NULL THEN left(sha256('{outer}'::BLOB || unhex(sha256('{inner}'::BLOB ||
            encode('["{LAB}", "' || what || '", "' || id || '"]')))), 32) END
    """)


def main() -> None:
    """Read, judge, write the ledger, choose what counts, publish."""
    inbox, out = arguments()
    stages = Stages()
    db = duckdb.connect(config={"temp_directory": str(out / "spill"), "threads": os.cpu_count() or 1})
    db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    _pseudonyms(db)
    with stages.stage("read"):
        _load(db, inbox)
    with stages.stage("judge"):
        _ledger(db)
    with stages.stage("write the ledger"):
        _write_ledger(db, out)
    with stages.stage("which result counts"):
        _current(db)
    with stages.stage("metrics and outputs"):
        _publish(db, inbox, out)
    stages.report()


if __name__ == "__main__":
    main()
