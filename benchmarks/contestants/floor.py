"""The floor: Polars writes the same text as Parquet and does nothing else."""

from __future__ import annotations

import polars as pl

from benchmarks.contestants import arguments, exports_of


def main() -> None:
    """Parse every field as text, write one Parquet file."""
    inbox, out = arguments()
    pl.scan_csv(exports_of(inbox), infer_schema=False).sink_parquet(out / "floor.parquet")


if __name__ == "__main__":
    main()
