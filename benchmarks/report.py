"""The figures as Markdown and as a plot, written between the marks of docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.measure import ROOT, Measured, spread

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance.svg"
NAMES = {
    "floor": "floor: Polars, CSV to Parquet", "neurobalance": "neurobalance", "prefect": "neurobalance with Prefect, two runs",
    "duckdb_sql": "DuckDB SQL", "pandas_pandera": "pandas and Pandera",
}  # fmt: skip


def _seconds(values: list[float]) -> str:
    middle, least, most = spread(values)
    return f"{middle:.1f} ({least:.1f} to {most:.1f})"


def _times(value: float, unit: float) -> str:
    return f"{value / unit:.2f}" if unit else ""


def side_by_side(runs: dict[str, list[Measured]]) -> str:
    """One line per contestant."""
    base = spread([run.wall for run in runs["floor"]])[0] if "floor" in runs else 0.0
    lines = [
        "| contestant | wall, s | CPU, s | peak memory, MB | wall / floor |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, mine in runs.items():
        walls = [run.wall for run in mine]
        peak = spread([run.peak / 1e6 for run in mine])[0]
        lines.append(
            f"| {NAMES[name]} | {_seconds(walls)} | {_seconds([run.cpu for run in mine])} | {peak:.0f} "
            f"| {_times(spread(walls)[0], base)} |"
        )
    return "\n".join(lines)


def stages(runs: dict[str, list[Measured]], name: str) -> str:
    """One line per stage of a contestant, against the floor."""
    floor = runs.get("floor", [])
    wall, cpu = (
        spread([getattr(run, what) for run in floor])[0] if floor else 0.0 for what in ("wall", "cpu")
    )
    lines = ["| stage | wall, s | CPU, s | wall / floor | CPU / floor |", "|---|---:|---:|---:|---:|"]
    for stage in sorted(runs[name][0].said.get("stages", {})):
        both = [run.said["stages"].get(stage, [0.0, 0.0]) for run in runs[name]]
        walls, cpus = [w for w, _ in both], [c for _, c in both]
        lines.append(
            f"| {stage} | {_seconds(walls)} | {_seconds(cpus)} | {_times(spread(walls)[0], wall)} | {_times(spread(cpus)[0], cpu)} |"
        )
    return "\n".join(lines)


def ratios(runs: dict[str, list[Measured]]) -> str:
    """This project's wall time against each of the others."""
    middle = {name: spread([run.wall for run in mine])[0] for name, mine in runs.items()}
    if "neurobalance" not in middle:
        return ""
    lines = [
        f"- neurobalance takes {middle['neurobalance'] / middle[name]:.2f} times the wall time of {NAMES[name]}."
        for name in ("floor", "duckdb_sql", "pandas_pandera") if name in middle
    ]  # fmt: skip
    if "prefect" in middle:
        first, later = (
            spread([run.said["stages"][stage][0] for run in runs["prefect"]])[0]
            for stage in ("first run of a home", "ingest")
        )
        lines.append(
            f"- With Prefect, a home's first run, in which Prefect makes its database and nothing else is done, takes "
            f"{first:.1f} s; the one after it, with the export, {later:.1f} s: Prefect's share of that is "
            f"{1 - middle['neurobalance'] / later:.0%}."
        )
    return "\n".join(lines)


def plot(runs: dict[str, list[Measured]], title: str) -> str:
    """Bars of the median wall time, with lines from the least to the most, as SVG."""
    most = max(run.wall for mine in runs.values() for run in mine)
    scale = 420 / most
    parts = []
    for index, (name, mine) in enumerate(runs.items()):
        y = 40 + 34 * index
        middle, least, largest = (value * scale for value in spread([run.wall for run in mine]))
        fill = "#2a6f97" if name in ("neurobalance", "prefect") else "#a9b4bc"
        parts += [
            f'<text x="212" y="{y + 15}" text-anchor="end">{NAMES[name]}</text>',
            f'<rect x="220" y="{y}" width="{middle:.1f}" height="22" fill="{fill}"/>',
            f'<line x1="{220 + least:.1f}" x2="{220 + largest:.1f}" y1="{y + 11}" y2="{y + 11}" stroke="#222"/>',
            f'<text x="{226 + largest:.1f}" y="{y + 15}">{middle / scale:.1f} s</text>',
        ]
    height = 50 + 34 * len(runs)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="720" height="{height}" fill="white"/>\n<text x="220" y="22">{title}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def write(section: str, text: str) -> None:
    """Put `text` between the marks of a section of the page."""
    begin, end = f"<!-- measured: {section} -->", f"<!-- end of {section} -->"
    page = PAGE.read_text("utf-8")
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE.relative_to(ROOT)} has no marks {begin} and {end}")
    fresh = re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n\n{text}\n\n{end}",
        page,
        flags=re.DOTALL,
    )
    PAGE.write_text(fresh, "utf-8")


def write_plot(text: str, path: Path = PLOT) -> None:
    """Put the plot beside the page."""
    path.write_text(text, "utf-8")
