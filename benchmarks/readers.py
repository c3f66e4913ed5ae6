"""How fast the readers are: python -m benchmarks.readers [RESULTS]

Makes seeded exports of so many results (100 000 unless told) in a temporary folder, reads each three times on one
core, and prints the best as a Markdown table: choosing the layout and reading all rows, nothing after that.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# before the libraries start their threads
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import pyarrow as pa

from schemas.layout_files import load_layouts
from tasks.readers import choose, read

TESTS = ("Dopamine", "Serotonin", "GABA", "Glutamate", "Kynurenine", "Tryptophan", "Cortisol", "Glycine")
TRIES = 3


def _values(results: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [f"{value:.3f}" for value in rng.lognormal(2, 1, results)]


def delimited(results: int) -> str:
    """One result a line."""
    lines = ["Sample ID;Test;Result;Unit;Specimen;Collected"]
    for number, value in enumerate(_values(results)):
        test = TESTS[number % 8]
        lines.append(
            f"S{number // 8:07};{test};{value};nmol/L;Plasma;2025-03-{number // 8 % 28 + 1:02} 08:30"
        )
    return "\n".join([*lines, ""])


def wide(results: int) -> str:
    """Eight results a line."""
    values = _values(results)
    lines = [";".join(["Sample ID", "Specimen", *(f"{test} (nmol/L)" for test in TESTS)])]
    lines += [";".join([f"S{at:07}", "Plasma", *values[at : at + 8]]) for at in range(0, results, 8)]
    return "\n".join([*lines, ""])


def hl7v2(results: int) -> str:
    """Messages of eight OBX segments."""
    lines = []
    for number, value in enumerate(_values(results)):
        sample, place = divmod(number, 8)
        if place == 0:
            lines.append(f"MSH|^~\\&|LIS|LAB|||20250301083000||ORU^R01|{sample}|P|2.5.1")
            lines.append(f"PID|1||P{sample}^^^LAB^MR||^")
            lines.append(f"OBR|1||S{sample}|NEURO^Panel^L|||20250301083000||||||||Plasma|||||||20250302||F|F")
        lines.append(
            f"OBX|{place + 1}|NM|{place}^{TESTS[place]}^L||{value}|nmol/L|1-500||||F|||20250301083000"
        )
    return "\r".join([*lines, ""])


def fhir(results: int) -> str:
    """One Observation a line."""
    lines = []
    for number, value in enumerate(_values(results)):
        lines.append(json.dumps({
            "resourceType": "Observation", "id": str(number), "status": "final",
            "code": {"coding": [{"system": "urn:oid:1.2.3", "code": str(number % 8)}], "text": TESTS[number % 8]},
            "subject": {"reference": f"Patient/{number // 8}"}, "effectiveDateTime": "2025-03-01T08:30:00+01:00",
            "specimen": {"reference": f"Specimen/{number // 8}", "display": "Plasma"},
            "valueQuantity": {"value": float(value), "unit": "nmol/L", "system": "http://unitsofmeasure.org",
                              "code": "nmol/L"},
        }))  # fmt: skip
    return "\n".join([*lines, ""])


def masshunter(results: int) -> str:
    """Two header rows, eight compounds a line."""
    values = _values(results)
    titles = [f"{test} Results,," for test in TESTS]
    lines = [
        "Sample,,,,," + ",".join(titles),
        "Name,Data File,Type,Acq. Date-Time,Level" + ",RT,Area,Calc. Conc." * 8,
    ]
    for at in range(0, results, 8):
        cells = [f"1.234,{int(float(value) * 1000)},{value}" for value in values[at : at + 8]]
        lines.append(f"S{at:07},S{at:07}.d,Sample,2025-03-01 08:30,,{','.join(cells)}")
    return "\n".join([*lines, ""])


def mwtab(results: int) -> str:
    """One line for each metabolite, a column for each sample."""
    samples = max(8, results // 2000)
    names = [f"S{number:06}" for number in range(samples)]
    values = iter(_values(results))
    lines = ["#METABOLOMICS WORKBENCH STUDY_ID:ST000001 ANALYSIS_ID:AN000001", "VERSION\t1", "#METABOLOMICS WORKBENCH",
             "#SUBJECT_SAMPLE_FACTORS:\tSUBJECT\tSAMPLE\tFACTORS"]  # fmt: skip
    lines += [f"SUBJECT_SAMPLE_FACTORS\t-\t{name}\tGroup:A" for name in names]
    lines += ["#MS_METABOLITE_DATA", "MS_METABOLITE_DATA:UNITS\tnmol/L", "MS_METABOLITE_DATA_START"]
    lines += ["Samples\t" + "\t".join(names), "Factors\t" + "\t".join(["Group:A"] * samples)]
    for number in range(results // samples):
        lines.append(f"Metabolite {number}\t" + "\t".join(next(values) for _ in names))
    return "\n".join([*lines, "MS_METABOLITE_DATA_END", "#END", ""])


FORMATS: dict[str, Callable[[int], str]] = {
    "delimited, long": delimited,
    "delimited, wide": wide,
    "HL7 v2": hl7v2,
    "FHIR NDJSON": fhir,
    "MassHunter": masshunter,
    "mwTab": mwtab,
}


def measure(results: int) -> list[tuple[str, int, float, float]]:
    """Format, rows, size in MB and the best time in seconds of each."""
    layouts = load_layouts()
    out = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        for name, made in FORMATS.items():
            path.write_text(made(results), "utf-8", newline="")
            times, rows = [], 0
            for _ in range(TRIES):
                start = time.perf_counter()
                choice = choose(path, layouts, "lab", is_analyte=TESTS.__contains__)
                if choice.layout is None:
                    raise SystemExit(f"{name}: {choice.reason}")
                found = read(path, choice.layout, TESTS.__contains__)
                rows = sum(batch.height for batch in found.batches)
                times.append(time.perf_counter() - start)
            out.append((name, rows, path.stat().st_size / 1e6, min(times)))
    return out


def main() -> None:
    """Print the table."""
    pa.set_cpu_count(1)
    results = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print("| format | results | MB | results a second | MB a second |\n|---|--:|--:|--:|--:|")
    for name, rows, size, seconds in measure(results):
        print(f"| {name} | {rows:,} | {size:.1f} | {rows / seconds:,.0f} | {size / seconds:.1f} |")


if __name__ == "__main__":
    main()
