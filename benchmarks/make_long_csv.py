"""Seeded exports of a laboratory, to measure with.

    python -m benchmarks.make_long_csv ROWS FILE                     one long history
    python -m benchmarks.make_long_csv ROWS FOLDER --files 10000     the same kind of rows as many small exports

26 results a sample in three specimens; several spellings and units of each analyte, mass and molar, per volume
and per creatinine; 5 % censored, 0.1 % bad rows of eight kinds, 1 % corrections, repeats, preliminary results
and conflicts. In the order of collection, as a laboratory system sends it; `--scattered` mixes the months.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

ROWS_PER_CHUNK = 1_000_000
TESTS_PER_SAMPLE = 26
_MINUTES_PER_DAY = 24 * 60

#: specimen -> (spellings), (unit, typical amount), (unit, typical amount): the units of one amount
TESTS: dict[str, list[tuple[tuple[str, ...], tuple[tuple[str, float], ...]]]] = {
    "Urine": [
        (("Dopamine", "DA"), (("ug/g Cr", 180), ("nmol/mmol creatinine", 133))),
        (("Norepinephrine", "Noradrenaline"), (("ug/g Cr", 28), ("nmol/mmol creatinine", 18.7))),
        (("Epinephrine", "Adrenaline"), (("ug/g creatinine", 4), ("nmol/mmol creatinine", 2.5))),
        (("Serotonin", "5-HT"), (("ug/g Cr", 95), ("ug/g creatinine", 95))),
        (("5-HIAA", "5-Hydroxyindoleacetic acid"), (("mg/g Cr", 3.4), ("umol/mmol creatinine", 2))),
        (("HVA", "Homovanillic acid"), (("mg/g creatinine", 4.1), ("umol/mmol creatinine", 2.5))),
        (("VMA", "Vanillylmandelic acid"), (("mg/g creatinine", 3.2), ("mg/L", 4.4))),
        (("L-DOPA", "DOPA"), (("ug/g Cr", 45), ("ug/g creatinine", 45))),
        (("GABA", "gamma-Aminobutyric acid"), (("umol/L", 6), ("umol/g creatinine", 5))),
        (("Glutamate", "Glutamic acid"), (("umol/L", 14), ("mg/L", 2))),
        (("Glutamine", "L-Glutamine"), (("umol/L", 380), ("mg/L", 55))),
        (("Glycine", "Glycine"), (("umol/L", 900), ("mg/L", 68))),
        (("Taurine", "Taurine"), (("umol/L", 700), ("mg/L", 88))),
        (("Histamine", "Histamine"), (("nmol/g creatinine", 160), ("ug/g Cr", 18))),
        (("N-Methylhistamine", "N-methylhistamine"), (("nmol/g creatinine", 900), ("ug/g Cr", 113))),
        (("Creatinine", "Creatinine"), (("mmol/L", 9), ("mg/dL", 102))),
        (("Normetanephrine", "Normetanephrine"), (("ug/g Cr", 180), ("nmol/mmol creatinine", 111))),
        (("Metanephrine", "Metanephrine"), (("ug/g Cr", 90), ("nmol/mmol creatinine", 52))),
        (("3-Methoxytyramine", "3-Methoxytyramine"), (("ug/g Cr", 120), ("nmol/mmol creatinine", 81))),
        (("Tryptophan", "L-Tryptophan"), (("umol/L", 60), ("mg/L", 12))),
        (("Tyrosine", "L-Tyrosine"), (("umol/L", 80), ("mg/L", 14))),
        (("Phenylalanine", "Phe"), (("umol/L", 48), ("mg/L", 8))),
        (("Kynurenine", "L-Kynurenine"), (("umol/L", 3), ("nmol/L", 3000))),
        (("Cortisol", "Cortisol"), (("ug/L", 40), ("nmol/L", 110))),
        (("Cortisone", "Cortisone"), (("ug/L", 60), ("nmol/L", 166))),
        (("DOPAC", "DOPAC"), (("mg/g creatinine", 1.1), ("ug/g Cr", 1100))),
    ],
    "Plasma": [
        (("Norepinephrine", "Noradrenaline"), (("pg/mL", 300), ("nmol/L", 1.77))),
        (("Epinephrine", "Adrenaline"), (("pg/mL", 40), ("nmol/L", 0.22))),
        (("Dopamine", "DA"), (("pg/mL", 20), ("nmol/L", 0.13))),
        (("DHPG", "DHPG"), (("pg/mL", 900), ("nmol/L", 5.3))),
        (("DOPAC", "DOPAC"), (("pg/mL", 1600), ("nmol/L", 9.5))),
        (("Normetanephrine", "Normetanephrine"), (("pg/mL", 60), ("nmol/L", 0.33))),
        (("Metanephrine", "Metanephrine"), (("pg/mL", 35), ("nmol/L", 0.18))),
        (("Tryptophan", "L-Tryptophan"), (("umol/L", 67), ("mg/L", 13.7))),
        (("Kynurenine", "L-Kynurenine"), (("umol/L", 1.8), ("nmol/L", 1800))),
        (("Kynurenic acid", "KYNA"), (("nmol/L", 45), ("ng/mL", 8.5))),
        (("Quinolinic acid", "QUIN"), (("nmol/L", 400), ("ng/mL", 67))),
        (("3-Hydroxykynurenine", "3-HK"), (("nmol/L", 35), ("ng/mL", 7.8))),
        (("Xanthurenic acid", "Xanthurenic acid"), (("nmol/L", 16), ("ng/mL", 3.3))),
        (("Anthranilic acid", "Anthranilic acid"), (("nmol/L", 15), ("ng/mL", 2.1))),
        (("Tyrosine", "Tyr"), (("umol/L", 83), ("mg/L", 15))),
        (("Phenylalanine", "Phe"), (("umol/L", 65), ("mg/L", 10.7))),
        (("Leucine", "Leucine"), (("umol/L", 130), ("mg/L", 17))),
        (("Isoleucine", "Isoleucine"), (("umol/L", 66), ("mg/L", 8.7))),
        (("Valine", "Valine"), (("umol/L", 240), ("mg/L", 28))),
        (("Glutamine", "L-Glutamine"), (("umol/L", 580), ("mg/L", 85))),
        (("Glutamate", "Glutamic acid"), (("umol/L", 45), ("mg/L", 6.6))),
        (("Cortisol", "Cortisol"), (("nmol/L", 350), ("ug/dL", 12.7))),
        (("Cortisone", "Cortisone"), (("nmol/L", 55), ("ug/L", 20))),
        (("DHEA-S", "DHEA-S"), (("umol/L", 5), ("ug/dL", 184))),
        (("Copper", "Copper"), (("umol/L", 17), ("ug/dL", 108))),
        (("Zinc", "Zinc"), (("umol/L", 14), ("ug/dL", 92))),
    ],
    "CSF": [
        (("HVA", "Homovanillic acid"), (("nmol/L", 200), ("ng/mL", 36))),
        (("5-HIAA", "5-Hydroxyindoleacetic acid"), (("nmol/L", 100), ("ng/mL", 19))),
        (("MHPG", "MHPG"), (("nmol/L", 45), ("ng/mL", 8.3))),
        (("DOPAC", "DOPAC"), (("nmol/L", 3), ("ng/mL", 0.5))),
        (("Norepinephrine", "Noradrenaline"), (("nmol/L", 1.2), ("pg/mL", 200))),
        (("Dopamine", "DA"), (("nmol/L", 0.2), ("pg/mL", 30))),
        (("3-O-Methyldopa", "3-OMD"), (("nmol/L", 25), ("ng/mL", 5.3))),
        (("L-DOPA", "DOPA"), (("nmol/L", 4), ("ng/mL", 0.8))),
        (("Neopterin", "Neopterin"), (("nmol/L", 14), ("ng/mL", 3.5))),
        (("BH4", "Tetrahydrobiopterin"), (("nmol/L", 24), ("ng/mL", 5.8))),
        (("SAM", "S-Adenosylmethionine"), (("nmol/L", 220), ("ng/mL", 88))),
        (("SAH", "S-Adenosylhomocysteine"), (("nmol/L", 14), ("ng/mL", 5.4))),
        (("GABA", "gamma-Aminobutyric acid"), (("nmol/L", 100), ("ng/mL", 10.3))),
        (("Glutamine", "L-Glutamine"), (("umol/L", 550), ("mg/L", 80))),
        (("Glutamate", "Glutamic acid"), (("umol/L", 1.5), ("ug/L", 220))),
        (("Glycine", "Glycine"), (("umol/L", 7), ("mg/L", 0.53))),
        (("Taurine", "Taurine"), (("umol/L", 7), ("mg/L", 0.88))),
        (("Serine", "L-Serine"), (("umol/L", 30), ("mg/L", 3.2))),
        (("D-Serine", "D-Serine"), (("umol/L", 2), ("ug/L", 210))),
        (("Tryptophan", "L-Tryptophan"), (("umol/L", 2), ("mg/L", 0.41))),
        (("Kynurenine", "L-Kynurenine"), (("nmol/L", 50), ("ng/mL", 10.4))),
        (("Kynurenic acid", "KYNA"), (("nmol/L", 3), ("ng/mL", 0.57))),
        (("Quinolinic acid", "QUIN"), (("nmol/L", 25), ("ng/mL", 4.2))),
        (("Tyrosine", "Tyr"), (("umol/L", 9), ("mg/L", 1.6))),
        (("Phenylalanine", "Phe"), (("umol/L", 9), ("mg/L", 1.5))),
        (("Choline", "Choline"), (("umol/L", 2), ("ug/L", 208))),
    ],
}  # fmt: skip
_SHARES = (0.60, 0.25, 0.15)
#: results that are sent again, by what becomes of them, as shares of all rows
_AGAIN = {"corrected": 0.006, "repeated": 0.002, "preliminary": 0.0015, "conflict": 0.0005}
_BAD = 0.001
_BAD_CORRECTIONS = 0.02
_BAD_KINDS = 8
_CENSORED = 0.05


def _variants() -> pl.DataFrame:
    """Every way in which a test is written: index (specimen * 26 + test) * 4 + spelling * 2 + unit."""
    rows = [
        (specimen, spelling, unit, typical)
        for specimen, tests in TESTS.items()
        for spellings, units in tests
        for spelling in spellings
        for unit, typical in units
    ]
    return pl.DataFrame(rows, schema=["specimen", "test", "unit", "typical"], orient="row")


def _chunk(
    rng: np.random.Generator, first: int, rows: int, days: int, span: int, scattered: bool
) -> pl.DataFrame:
    """`rows` rows from the `first` measurement on; `span` measurements in all are spread over `days`."""
    again = {name: int(rows * share) for name, share in _AGAIN.items()}
    base = rows - sum(again.values())
    number = np.arange(first, first + base)
    picked = [rng.integers(0, base, count) for count in again.values()]
    number = np.concatenate([number, *(number[at] for at in picked)])
    origin = np.concatenate([np.arange(base), *picked])
    kind = np.repeat(np.arange(1 + len(again), dtype=np.int8), [base, *again.values()])

    sample, test = number // TESTS_PER_SAMPLE, number % TESTS_PER_SAMPLE
    # the same for all rows of a sample, whichever chunk they are in
    specimen = np.searchsorted(np.cumsum(_SHARES)[:-1], (sample * 0.6180339887) % 1.0)
    variant = ((specimen * TESTS_PER_SAMPLE + test) * 4 + rng.integers(0, 4, base)[origin]).astype(np.uint32)
    variants = _variants()
    drawn = rng.lognormal(0, 0.5, rows)
    drawn = np.where(np.isin(kind, [2]), drawn[origin], drawn)  # what is repeated has the same value
    value = np.maximum((variants["typical"].to_numpy()[variant] * drawn).round(4), 0.001)
    samples = max(1, span // TESTS_PER_SAMPLE)
    minutes = sample * 37 if scattered else (sample * (days * _MINUTES_PER_DAY / samples)).astype(np.int64)
    minutes = minutes % (days * _MINUTES_PER_DAY)
    censoring = rng.random(rows)
    censoring = np.where(np.isin(kind, [2]), censoring[origin], censoring) / _CENSORED
    bad = rng.random(rows) < np.where(kind == 1, _BAD_CORRECTIONS, _BAD)
    bad_kind = np.where(bad, rng.integers(0, _BAD_KINDS, rows), -1).astype(np.int8)
    later = np.where(kind == 1, 4, np.where(kind == 3, 5, 2))
    frame = pl.DataFrame({
        "sample": sample, "variant": variant, "value": value, "minutes": minutes, "later": later,
        "censoring": censoring, "kind": kind, "bad": bad_kind,
    })  # fmt: skip
    return _written(frame, variants)


def _written(frame: pl.DataFrame, variants: pl.DataFrame) -> pl.DataFrame:
    """The drawn numbers as the texts of an export."""
    number, bad = pl.col("value").cast(pl.String), pl.col("bad")
    text = (
        pl.when(bad.is_in([0, 7])).then(pl.lit("see comment"))
        .when(bad == 1).then(pl.lit(""))
        .when(bad == 6).then(pl.concat_str(pl.lit("-"), number))
        .when(pl.col("censoring") < 0.8).then(pl.concat_str(pl.lit("<"), number))
        .when(pl.col("censoring") < 0.9).then(pl.concat_str(pl.lit(">"), number))
        .when(pl.col("censoring") < 1.0).then(pl.lit("n.d."))
        .otherwise(number)
    )  # fmt: skip
    collected = pl.datetime(2015, 1, 1) + pl.duration(minutes="minutes")

    def unless(kind: int, instead: str, name: str) -> pl.Expr:
        return pl.when(bad == kind).then(pl.lit(instead)).otherwise(variants[name].gather(frame["variant"]))

    sent = frame.with_columns(collected.alias("at"))
    return sent.select(
        pl.concat_str(pl.lit("P"), (pl.col("sample") // 3).cast(pl.String)).alias("Patient ID"),
        pl.when(bad == 4).then(pl.lit("")).otherwise(pl.concat_str(pl.lit("S"), pl.col("sample").cast(pl.String)))
        .alias("Sample ID"),
        unless(7, "Sap", "specimen").alias("Specimen"),
        unless(3, "Mystery factor", "test").alias("Test"),
        text.alias("Result"),
        unless(2, "furlongs", "unit").alias("Units"),
        pl.when(bad == 5).then(pl.lit("soon")).otherwise(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")).alias("Collected"),
        (pl.col("at") + pl.duration(days="later")).dt.strftime("%Y-%m-%d").alias("Reported"),
        pl.when(pl.col("kind") == 1).then(pl.lit("corrected")).when(pl.col("kind") == 3).then(pl.lit("preliminary"))
        .otherwise(pl.lit("final")).alias("Status"),
    )  # fmt: skip


def chunks(rows: int, seed: int, months: int, scattered: bool, rows_per_chunk: int = ROWS_PER_CHUNK):
    """The history in frames of at most `rows_per_chunk` rows, in order."""
    rng = np.random.default_rng(seed)
    done = first = 0
    while done < rows:
        count = min(rows_per_chunk, rows - done)
        yield _chunk(rng, first, count, months * 365 // 12, rows, scattered)
        done += count
        first += count - sum(int(count * share) for share in _AGAIN.values())


def long_csv(rows: int, path: Path, seed: int = 1, months: int = 12, scattered: bool = False) -> None:
    """Write `rows` results to one file."""
    with path.open("wb") as file:
        for index, frame in enumerate(chunks(rows, seed, months, scattered)):
            frame.write_csv(file, include_header=index == 0)


def small_csvs(rows: int, folder: Path, files: int, seed: int = 1, months: int = 12) -> None:
    """Write `rows` results to `files` exports of the same length, one after another in time."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(chunks(rows, seed, months, False, max(1, rows // files))):
        frame.write_csv(folder / f"{index:06}.csv")


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("rows", type=int)
    options.add_argument("path", type=Path)
    options.add_argument("--files", type=int, default=0, help="that many small exports instead of one")
    options.add_argument("--months", type=int, default=12, help="months that the history spans")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--scattered", action="store_true", help="the months in no order")
    said = options.parse_args()
    if said.files:
        small_csvs(said.rows, said.path, said.files, said.seed, said.months)
    else:
        long_csv(said.rows, said.path, said.seed, said.months, said.scattered)


if __name__ == "__main__":
    main()
