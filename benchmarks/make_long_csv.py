"""Make a seeded long CSV such as a large lab's history: python benchmarks/make_long_csv.py ROWS FILE

About 26 results a sample, synonyms, mass and molar units, 5 % censored and 0.1 % bad rows, 12 months.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

#: text, unit, typical amount: two spellings and two units of each
TESTS = [
    ("Dopamine", "ug/g Cr", 180), ("Norepinephrine", "ug/g Cr", 28), ("Epinephrine", "ug/g creatinine", 4),
    ("Noradrenaline", "nmol/mmol creatinine", 18), ("Adrenaline", "nmol/mmol creatinine", 2), ("Serotonin", "ug/g Cr", 95),
    ("5-HIAA", "mg/g Cr", 3.4), ("HVA", "mg/g creatinine", 4.1), ("VMA", "mg/g creatinine", 3.2), ("L-DOPA", "ug/g Cr", 45),
    ("GABA", "umol/L", 6), ("Glutamate", "umol/L", 14), ("Glutamine", "umol/L", 380), ("Glycine", "umol/L", 900),
    ("Taurine", "umol/L", 700), ("Histamine", "nmol/g creatinine", 160), ("Creatinine", "mmol/L", 9),
    ("Normetanephrine", "ug/g Cr", 180), ("Metanephrine", "ug/g Cr", 90), ("3-Methoxytyramine", "ug/g Cr", 120),
    ("Tryptophan", "umol/L", 60), ("Tyrosine", "umol/L", 80), ("Phenylalanine", "mg/L", 8), ("Kynurenine", "umol/L", 3),
    ("Cortisol", "ug/L", 40), ("Cortisone", "ug/L", 60),
]  # fmt: skip


def long_csv(rows: int, path: Path, seed: int = 1) -> None:
    """Write `rows` results to `path`."""
    rng = np.random.default_rng(seed)
    number = np.arange(rows)
    sample, test = number // len(TESTS), number % len(TESTS)
    typical = np.array([t[2] for t in TESTS], float)[test]
    value = typical * rng.lognormal(0, 0.5, rows)
    minutes = (sample * 37) % (365 * 24 * 60)
    frame = pl.DataFrame({
        "sample": sample, "value": value.round(4), "censored": rng.random(rows) < 0.05, "bad": rng.random(rows) < 0.001,
        "test": pl.Series([t[0] for t in TESTS]).gather(test), "unit": pl.Series([t[1] for t in TESTS]).gather(test),
        "minutes": minutes,
    })  # fmt: skip
    text = (
        pl.when("bad").then(pl.lit("see comment")).when("censored").then(pl.concat_str(pl.lit("<"), "value"))
    )
    collected = pl.datetime(2024, 1, 1) + pl.duration(minutes=pl.col("minutes"))
    frame.select(
        pl.concat_str(pl.lit("P"), (pl.col("sample") // 3).cast(pl.String)).alias("Patient ID"),
        pl.concat_str(pl.lit("S"), pl.col("sample").cast(pl.String)).alias("Sample ID"),
        pl.lit("Urine").alias("Specimen"),
        pl.col("test").alias("Test"),
        text.otherwise(pl.col("value").cast(pl.String)).alias("Result"),
        pl.col("unit").alias("Units"),
        collected.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00").alias("Collected"),
        collected.dt.offset_by("2d").dt.strftime("%Y-%m-%d").alias("Reported"),
    ).write_csv(path)


if __name__ == "__main__":
    long_csv(int(sys.argv[1]), Path(sys.argv[2]))
