"""The same job as DuckDB SQL, as a user who knows SQL well would write it.

What the generated data cannot show is left out: withdrawals, replicates, methods, samples without a subject, other
number styles and date formats than ISO, and ratios that the lab prints itself.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import duckdb

from benchmarks.contestants import LAB, Stages, arguments, exports_of
from benchmarks.contestants.duckdb_metrics import literal
from benchmarks.contestants.duckdb_publish import OPTIONS, current, pseudonyms, publish

#: the columns of the export, in order; as sent
_SENT = ("subject", "sample", "specimen", "analyte", "value", "unit", "collected_at", "reported_at", "status")
_MISSING = "('', 'na', 'n/a', 'null', '-', '.')"
_NOT_DETECTED = "('nd', 'n.d.', 'not detected', 'none detected')"
_BELOW = "('<lloq', '<loq', '<lod', 'blq', 'bloq', 'bql', '<llq', 'trace', 'traces', 'spuren')"
_ABOVE = "('>uloq', '>ulq', 'alq', 'aql')"

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
        FROM judged) TO '{out}/ledger/rows.parquet' ({OPTIONS})
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
    db.execute(f"COPY receipts TO '{out}/ledger/receipts.parquet' ({OPTIONS})")


def main() -> None:
    """Read, judge, write the ledger, choose what counts, publish."""
    inbox, out = arguments()
    stages = Stages()
    db = duckdb.connect(config={"temp_directory": str(out / "spill"), "threads": os.cpu_count() or 1})
    db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    pseudonyms(db)
    with stages.stage("read"):
        _load(db, inbox)
    with stages.stage("judge"):
        _ledger(db)
    with stages.stage("write the ledger"):
        _write_ledger(db, out)
    with stages.stage("which result counts"):
        current(db)
    with stages.stage("metrics and outputs"):
        publish(db, inbox, out)
    stages.report()


if __name__ == "__main__":
    main()
