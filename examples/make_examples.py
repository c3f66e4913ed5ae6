"""Make the generated exports of examples/inbox, always the same bytes: python examples/make_examples.py

Everything in them is invented: no line stems from a person. The real exports beside them come
from public repositories; see examples/LICENCES.md.
"""

from __future__ import annotations

import random
from pathlib import Path

INBOX = Path(__file__).parent / "inbox"

URINE = (  # test, unit, typical amount, lower limit of quantification
    ("Dopamine", "ug/g Cr", 180.0, 10.0), ("L-DOPA", "ug/g Cr", 45.0, 20.0), ("Norepinephrine", "ug/g Cr", 28.0, 2.0),
    ("Epinephrine", "ug/g Cr", 4.0, 2.0), ("Serotonin", "ug/g Cr", 95.0, 5.0), ("5-HIAA", "mg/g Cr", 3.4, 0.2),
    ("HVA", "mg/g creatinine", 4.1, 0.3), ("VMA", "mg/g creatinine", 3.2, 0.3), ("GABA", "umol/L", 6.0, 1.0),
    ("Glutamate", "umol/L", 14.0, 2.0), ("Histamine", "nmol/g creatinine", 160.0, 20.0),
)  # fmt: skip


def _amount(rng: random.Random, typical: float, lloq: float) -> str:
    value = typical * rng.lognormvariate(0, 0.6)
    return f"<{lloq:g}" if value < lloq else f"{value:.3g}"


def urine(rng: random.Random) -> str:
    """Second-morning urine of a wellness lab: per creatinine and per volume in one sample."""
    lines = ["Patient ID,Sample ID,Specimen,Test,Result,Units,Collected,Reported,Status"]
    for number in range(1, 13):
        head = f"W-{number:03d},U{2000 + number},Urine"
        tail = f"2024-0{1 + number % 3}-{5 + number:02d} 08:{number * 4:02d},2024-04-02,final"
        for test, unit, typical, lloq in URINE:
            lines.append(f"{head},{test},{_amount(rng, typical, lloq)},{unit},{tail}")
        lines.append(f'{head},"Creatinine, urine",{rng.uniform(0.4, 2.4):.2f},g/L,{tail}')
    return "\n".join(lines) + "\n"


def urine_corrected(first: str) -> str:
    """A corrected re-export of two samples: dopamine measured again, and one sample's day mended."""
    lines = first.splitlines()
    out = [lines[0]]
    for line in lines[1:]:
        fields = line.split(",")
        if fields[1] == "U2003" and "Dopamine" in line:
            out.append(
                line.replace(f",{fields[4]},", ",212,").replace("2024-04-02,final", "2024-04-09,corrected")
            )
        if fields[1] == "U2005":
            out.append(
                line.replace("2024-03-10", "2024-02-10").replace("2024-04-02,final", "2024-04-09,corrected")
            )
    return "\n".join(out) + "\n"


def csf_and_plasma(rng: random.Random) -> str:
    """A German clinic: semicolons, decimal commas, dd.mm.yyyy, Latin-1; molar units and one in mass."""
    tests = (
        ("Liquor", "Homovanillinsäure", "nmol/l", 210.0), ("Liquor", "5-Hydroxyindolessigsäure", "nmol/l", 105.0),
        ("Liquor", "Neopterin", "nmol/l", 16.0), ("Liquor", "Tetrahydrobiopterin", "nmol/l", 19.0),
        ("EDTA-Plasma", "Noradrenalin", "nmol/l", 1.9), ("EDTA-Plasma", "Adrenalin", "pg/ml", 38.0),
        ("EDTA-Plasma", "Dopamin", "nmol/l", 0.08), ("EDTA-Plasma", "3,4-Dihydroxyphenylglycol", "nmol/l", 5.1),
        ("EDTA-Plasma", "Serotonin", "nmol/l", 12.0),
    )  # fmt: skip
    lines = ["Patientennummer;Probennummer;Material;Untersuchung;Ergebnis;Einheit;Entnahmezeit;Befunddatum"]
    for number in range(1, 9):
        for specimen, test, unit, typical in tests:
            value = typical * rng.lognormvariate(0, 0.3)
            shown = "<0,06" if test == "Dopamin" and value < 0.06 else f"{value:.4g}".replace(".", ",")
            sample = f"{'L' if specimen == 'Liquor' else 'P'}{number:03d}"
            lines.append(
                f"{number:05d};{sample};{specimen};{test};{shown};{unit};{number:02d}.03.2024 07:{30 + number};12.03.2024"
            )
    return "\r\n".join(lines) + "\r\n"


def serum(rng: random.Random) -> str:
    """A hospital: serum in molar and mass units, a ratio that it prints itself (once wrongly), some bad rows."""
    lines = ["MRN,Accession,Specimen,Test Name,Result,Units,Reference Range,Collection Date,Reported"]
    for number in range(1, 11):
        head = f"H{4000 + number},A{number:04d},Serum"
        tail = f"2024-02-{number:02d}T07:{10 + number}:00+00:00,2024-02-{number + 3:02d}"
        kyn, trp = 1.8 * rng.lognormvariate(0, 0.2), 66 * rng.lognormvariate(0, 0.15)
        phe, tyr = 62 * rng.lognormvariate(0, 0.15), 84 * rng.lognormvariate(0, 0.2)
        printed = 0.75 if number == 4 else phe / tyr
        for test, value, unit, limits in (
            ("Kynurenine", f"{kyn:.2f}", "umol/L", "1.0-3.3"),
            ("Tryptophan", f"{trp * 0.204229:.2f}" if number % 2 else f"{trp:.1f}", "mg/L" if number % 2 else "umol/L", ""),
            ("Phenylalanine", f"{phe:.1f}", "umol/L", "35-104"), ("Tyrosine", f"{tyr:.1f}", "umol/L", "<90"),
            ("Phe/Tyr ratio", f"{printed:.2f}", "", ""), ("Cortisol", f"{rng.uniform(5, 22):.1f}", "ug/dL", ""),
            ("DHEA-S", f"{rng.uniform(60, 380):.0f}", "ug/dL", ""), ("Testosterone", f"{rng.uniform(0.2, 7):.2f}", "ng/mL", ""),
        ):  # fmt: skip
            lines.append(f"{head},{test},{value},{unit},{limits},{tail}")
    good = "H4011,A0011,Serum"
    lines += [
        f"{good},Kynurenine,-2.1,umol/L,,2024-02-11T07:30:00+00:00,2024-02-14",
        f"{good},Tryptophan,hemolysed,umol/L,,2024-02-11T07:30:00+00:00,2024-02-14",
        f"{good},GLU,5.1,mmol/L,,2024-02-11T07:30:00+00:00,2024-02-14",
        f"{good},Unobtainium,1.0,umol/L,,2024-02-11T07:30:00+00:00,2024-02-14",
        f"{good},Tyrosine,80.1,furlongs,,2024-02-11T07:30:00+00:00,2024-02-14",
        "H4011,,Serum,Tyrosine,80.1,umol/L,,2024-02-11T07:30:00+00:00,2024-02-14",
        f"{good},Phenylalanine,61.0,umol/L,,03/04/2024,2024-02-14",
        f"{good},Tyrosine",
    ]
    return "\n".join(lines) + "\n"


def files() -> dict[str, bytes]:
    """Path below examples/inbox -> bytes."""
    rng = random.Random(20240229)
    first = urine(rng)
    return {
        "cedar-wellness/urine-2024-q1.csv": first.encode(),
        "cedar-wellness/urine-2024-q1-corrected.csv": urine_corrected(first).encode(),
        "cedar-wellness/report-scan.pdf": b"%PDF-1.4\n" + rng.randbytes(2048),
        "rhein-klinik/liquor-und-plasma.csv": csf_and_plasma(rng).encode("latin-1"),
        "harbour-hospital/serum-february.csv": serum(rng).encode(),
    }


if __name__ == "__main__":
    for name, content in files().items():
        path = INBOX / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(path)
