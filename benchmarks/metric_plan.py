"""From the formulas to what a peer computes: which metrics a specimen has, of which columns, in which units."""

from __future__ import annotations

from dataclasses import dataclass

CREATININE = ("creatinine", "umol/L")
PER_CREATININE = "umol/mmol{creat}"
CONVERTED = ", converted with the sample's creatinine"


@dataclass(frozen=True)
class Plan:
    """One metric in one specimen. `choices`: (unit, basis, converted) in the order of preference."""

    about: dict
    refused: str | None
    choices: tuple[tuple[str, str, bool], ...]

    @property
    def components(self) -> list[str]:
        """The analytes of the formula, each once, in its order."""
        return list(dict.fromkeys((*self.about["numerator"], *self.about["denominator"])))


def plans(said: dict, specimen: str, have: dict[str, set[str]]) -> list[Plan]:
    """The metrics of `specimen`; have: analyte -> the canonical units of its results there."""
    out = []
    for about in said["metrics"]:
        refused = about["refusals"].get(specimen)
        if specimen not in about["specimens"] and refused is None:
            continue
        if about["kind"] != "ratio":
            raise NotImplementedError(f"{about['metric']}: the peers compute ratios of sums only")
        components = list(dict.fromkeys((*about["numerator"], *about["denominator"])))
        choices = [
            (unit, basis, False)
            for unit, basis in said["units"].items()
            if all(unit in have.get(c, ()) for c in components)
        ]
        either = all({"umol/L", PER_CREATININE} & have.get(c, set()) for c in components)
        if specimen.startswith("urine") and "umol/L" in have.get("creatinine", ()) and either:
            choices.append(("umol/L", said["units"]["umol/L"] + CONVERTED, True))
        out.append(Plan(about, refused, tuple(choices)))
    return out


def natural_range(about: dict) -> tuple[float, float]:
    """What the metric can be at all."""
    numerator, denominator = set(about["numerator"]), set(about["denominator"])
    shared = numerator & denominator
    if not shared:
        return 0.0, float("inf")
    return (0.0, about["scale"]) if numerator == shared else (about["scale"], float("inf"))
