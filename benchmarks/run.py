"""The benchmark: `python -m benchmarks.run [WHAT] [--rows N] [--repeats N] [--contestants ...] [--write]`.

WHAT is one of
  side-by-side  all contestants on one long export, interleaved (the default)
  growth        this project and the floor at several sizes: --rows 1000000,10000000,50000000
  small-files   many exports of 200 rows in one backfill: --files 10000
  one-more      one new export of 200 rows into a ledger of --rows rows and --months months
  start         `neurobalance --help` and `check` on a small file
  least         what reading and writing alone take of a run with --rows rows
--write puts the figures into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.compare import same
from benchmarks.contestants import LAB
from benchmarks.make_long_csv import long_csv, small_csvs
from benchmarks.measure import ROOT, Measured, apart, contestant, machine, measure, module, spread
from benchmarks.peer_tables import write_tables

CONTESTANTS = ("floor", "neurobalance", "duckdb_sql", "pandas_pandera", "prefect")
ROWS_PER_SMALL_FILE = 200


def _inbox(data: Path, rows: int, months: int, seed: int, files: int = 0) -> Path:
    """An inbox of generated exports, made once for each size."""
    inbox = data / f"{rows}-rows-{months}-months-{files or 1}-files-seed-{seed}"
    if not (inbox / ".tables").exists():
        shutil.rmtree(inbox, ignore_errors=True)
        (inbox / LAB).mkdir(parents=True)
        if files:
            small_csvs(rows, inbox / LAB, files, seed, months)
        else:
            long_csv(rows, inbox / LAB / "long.csv", seed, months)
        write_tables(inbox)  # last: their folder says that all is there
    return inbox


def _warm(inbox: Path) -> None:
    """Read the exports once, so that no contestant pays for a cold disk."""
    for path in sorted((inbox / LAB).iterdir()):
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def interleaved(
    inbox: Path, names: list[str], repeats: int, out: Path, tell: Callable[[str], None] = print
) -> dict[str, list[Measured]]:
    """Each contestant `repeats` times, in turn. Raises Different before any figure where outputs differ."""
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    _warm(inbox)
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            runs[name].append(contestant(name, inbox, out / name))
            tell(f"  run {turn + 1} of {repeats}: {name} done")
        if turn == 0:
            comparable = [name for name in names if name != "floor"]
            for name in comparable[1:]:
                count = apart(same, out / comparable[0], out / name)
                tell(f"  {comparable[0]} and {name} gave the same {count} metrics")
    shutil.rmtree(out, ignore_errors=True)
    return runs


def _command(said: argparse.Namespace, *more: str) -> str:
    return " ".join(["python -m benchmarks.run", said.what, *more])


def side_by_side(said: argparse.Namespace) -> str:
    rows = said.rows[0]
    inbox = _inbox(said.data, rows, said.months, said.seed)
    runs = interleaved(inbox, said.contestants, said.repeats, said.data / "out")
    if said.write:
        report.write_plot(report.plot(runs, f"Median wall time of {said.repeats} runs, {rows:,} rows"))
    command = _command(
        said, f"--rows {rows}", f"--repeats {said.repeats}", f"--contestants {','.join(said.contestants)}"
    )
    size = (inbox / LAB / "long.csv").stat().st_size / 1e6
    text = f"`{command}` on {machine()}: {rows:,} rows, {size:,.0f} MB.\n\n{report.side_by_side(runs)}\n\n{report.ratios(runs)}"
    if "neurobalance" in runs:
        text += f"\n\nThe stages of neurobalance; those after a colon are parts of the one before it:\n\n{report.stages(runs, 'neurobalance')}"
    return text


def growth(said: argparse.Namespace) -> str:
    names = [name for name in said.contestants if name != "prefect"]
    lines = [
        "| rows | contestant | wall, s | us a row | CPU, s | peak memory, MB | export, MB |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for rows in said.rows:
        inbox = _inbox(said.data, rows, said.months, said.seed)
        size = (inbox / LAB / "long.csv").stat().st_size / 1e6
        for name, mine in interleaved(inbox, names, said.repeats, said.data / "out").items():
            wall, cpu, peak = (
                spread([getattr(run, what) for run in mine])[0] for what in ("wall", "cpu", "peak")
            )
            lines.append(
                f"| {rows:,} | {report.NAMES[name]} | {wall:.1f} | {wall / rows * 1e6:.2f} | {cpu:.1f} | {peak / 1e6:.0f} | {size:,.0f} |"
            )
        shutil.rmtree(inbox)  # the largest would fill a disk
    command = _command(
        said,
        f"--rows {','.join(map(str, said.rows))}",
        f"--repeats {said.repeats}",
        f"--contestants {','.join(names)}",
    )
    return f"`{command}` on {machine()}.\n\n" + "\n".join(lines)


def small_files(said: argparse.Namespace) -> str:
    inbox = _inbox(said.data, said.files * ROWS_PER_SMALL_FILE, said.months, said.seed, said.files)
    out = said.data / "out" / "neurobalance"
    runs = []
    for _ in range(said.repeats):
        runs.append(contestant("neurobalance", inbox, out))
    log = [path for path in (out / "ledger" / "_delta_log").iterdir() if path.suffix == ".json"]
    files = len(list((out / "ledger" / "files").iterdir()))
    wall = spread([run.wall for run in runs])[0]
    shutil.rmtree(out)
    return (
        f"`{_command(said, f'--files {said.files}', f'--repeats {said.repeats}')}` on {machine()}: {said.files:,} exports of "
        f"{ROWS_PER_SMALL_FILE} rows take {wall:.1f} s, {wall / said.files * 1000:.2f} ms an export; the ledger has {files} files "
        f"and {len(log)} commits.\n\n{report.stages({'neurobalance': runs}, 'neurobalance')}"
    )


def one_more(said: argparse.Namespace) -> str:
    rows = said.rows[0]
    shared = _inbox(said.data, rows, said.months, said.seed)
    inbox = said.data / "one-more"
    out = said.data / "out" / "neurobalance"
    runs = []
    for turn in range(said.repeats):
        shutil.rmtree(inbox, ignore_errors=True)
        shutil.copytree(shared / LAB, inbox / LAB)
        if turn == 0:
            contestant("neurobalance", inbox, out)
        # another seed: the ids are those of the oldest samples, so that one month is touched
        long_csv(ROWS_PER_SMALL_FILE, inbox / LAB / f"new-{turn}.csv", said.seed + turn + 1, months=1)
        runs.append(measure(module("neurobalance", inbox, out)))
    work = [sum(wall for name, (wall, _) in run.said["stages"].items() if ":" not in name) for run in runs]
    written = runs[-1].said.get("written", {})
    shutil.rmtree(out)
    shutil.rmtree(inbox)
    command = _command(said, f"--rows {rows}", f"--months {said.months}", f"--repeats {said.repeats}")
    return (
        f"`{command}` on {machine()}: one new export of {ROWS_PER_SMALL_FILE} rows takes {spread(work)[0]:.2f} s of work "
        f"({spread([run.wall for run in runs])[0]:.2f} s with the start of Python); files written: {json.dumps(written)}."
    )


def start(said: argparse.Namespace) -> str:
    inbox = _inbox(said.data, 1000, 1, said.seed)
    file = str(inbox / LAB / "long.csv")
    lines = ["| command | wall, s |", "|---|---:|"]
    home = {"NEUROBALANCE_HOME": str(said.data / "empty-home")}
    for name, arguments in (
        ("neurobalance --help", ["--help"]),
        ("neurobalance check FILE, 1,000 rows", ["check", file, "--lab", LAB]),
    ):
        walls = []
        for _ in range(max(3, said.repeats)):
            begun = time.perf_counter()
            measure([sys.executable, "-m", "flows.cli", *arguments], home)
            walls.append(time.perf_counter() - begun)
        middle, least, most = spread(walls)
        lines.append(f"| `{name}` | {middle:.2f} ({least:.2f} to {most:.2f}) |")
    return f"`{_command(said, f'--repeats {said.repeats}')}` on {machine()}.\n\n" + "\n".join(lines)


def least(said: argparse.Namespace) -> str:
    rows = said.rows[0]
    inbox = _inbox(said.data, rows, said.months, said.seed)
    out = said.data / "out"
    runs: dict[str, list[Measured]] = {"floor": [], "neurobalance": [], "least": []}
    _warm(inbox)
    for _ in range(said.repeats):
        for name in ("floor", "neurobalance"):
            runs[name].append(contestant(name, inbox, out / name))
        runs["least"].append(measure(module("least", inbox, out / "neurobalance")))
    shutil.rmtree(out)
    floor, ours = (spread([run.wall for run in runs[name]])[0] for name in ("floor", "neurobalance"))
    alone = spread([sum(wall for wall, _ in run.said["stages"].values()) for run in runs["least"]])[0]
    return (
        f"`{_command(said, f'--rows {rows}', f'--repeats {said.repeats}')}` on {machine()}: together "
        f"{alone:.1f} s, {alone / floor:.2f} times the floor ({floor:.1f} s); the whole run takes {ours:.1f} s, "
        f"{ours / floor:.2f} times.\n\n{report.stages(runs, 'least')}"
    )


WHAT = {
    "side-by-side": side_by_side,
    "growth": growth,
    "small-files": small_files,
    "one-more": one_more,
    "start": start,
    "least": least,
}


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", nargs="?", default="side-by-side", choices=WHAT)
    options.add_argument(
        "--rows", type=lambda text: [int(part) for part in text.split(",")], default=[1_000_000]
    )
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--months", type=int, default=12)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--contestants", type=lambda text: text.split(","), default=None, help=",".join(CONTESTANTS)
    )
    options.add_argument(
        "--data", type=Path, default=ROOT / "build" / "benchmark", help="folder for what is generated"
    )
    options.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    said = options.parse_args()
    said.contestants = said.contestants or list(
        CONTESTANTS if said.what == "side-by-side" else ("floor", "neurobalance")
    )
    if unknown := set(said.contestants) - set(CONTESTANTS):
        options.error(
            f"there is no contestant {', '.join(sorted(unknown))}; there are {', '.join(CONTESTANTS)}"
        )
    said.data = said.data.absolute()
    text = WHAT[said.what](said)
    print(text)
    if said.write:
        report.write(said.what, text)


if __name__ == "__main__":
    main()
