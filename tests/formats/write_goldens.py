"""Draft the expected files of golden cases: `python -m tests.formats.write_goldens CASE...`

CASE is a folder below tests/formats, for example `tables/semicolon`. What it writes is what the reader does
now, right or wrong: read it against the input before you commit it, and write the `source` of the count by
hand. It leaves a `source` that is there as it is.
"""

from __future__ import annotations

import json
import sys

from tests.formats.golden import HERE, run


def main() -> None:
    """Write `expected.json` and, where rows are read, `expected.csv` of the cases named."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        case = HERE / name
        result = run(case)
        path = case / "expected.json"
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        drafted = result.facts | {key: before[key] for key in ("source", "rows_checked_by") if key in before}
        path.write_text(json.dumps(drafted, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if result.csv is not None and "rows_checked_by" not in before:
            (case / "expected.csv").write_text(result.csv, "utf-8")
        print(f"drafted {name}: now read it against the input")


if __name__ == "__main__":
    main()
