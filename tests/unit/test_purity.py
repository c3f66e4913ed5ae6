"""What may touch the world, and what may not, read from the code itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = (
    "numbers",
    "times",
    "codes",
    "meanings",
    "standardise",
    "validate",
    "current",
    "intervals",
    "sides",
    "balance",
    "frames",
    "subject",
    "choose",
)
#: what a module that computes may import
ALLOWED = {"__future__", "collections", "dataclasses", "datetime", "functools", "hashlib", "hmac", "itertools", "json", "math",
           "re", "typing", "polars", "pandera", "babel", "schemas", "tasks"}  # fmt: skip
IMPURE = {
    "schemas.settings",
    "schemas.store",
    "schemas.bucket",
    "tasks.archive",
    "tasks.discover",
    "tasks.ledger",
    "tasks.staged",
    "tasks.snapshot",
    "tasks.prepare",
    "tasks.publish",
    "tasks.runs",
    "tasks.settle",
    "tasks.readers",
}
#: calls that read or write the world
TOUCHES = {"open", "print", "input", "read_text", "read_bytes", "write_text", "write_bytes", "write_parquet", "sink_parquet",
           "read_parquet", "scan_parquet", "read_csv", "scan_csv", "write_csv", "write_delta", "sink_delta", "mkdir", "unlink",
           "now", "today", "utcnow", "sleep", "getenv", "load_catalogue", "load_layouts"}  # fmt: skip
SOURCES = sorted(path for folder in ("tasks", "schemas", "flows") for path in (ROOT / folder).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def called(tree: ast.AST) -> set[str]:
    """Names that are called: `f` of `f(...)`, and `f` of `x.f(...)`."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {f.id for f in calls if isinstance(f, ast.Name)} | {
        f.attr for f in calls if isinstance(f, ast.Attribute)
    }


@pytest.mark.parametrize("name", PURE)
def test_what_computes_knows_neither_prefect_nor_the_world(name):
    tree = tree_of(ROOT / "tasks" / f"{name}.py")
    modules = imported(tree)
    assert {module.partition(".")[0] for module in modules} <= ALLOWED
    assert not modules & IMPURE
    assert not called(tree) & TOUCHES


def test_the_look_finds_what_it_looks_for():
    guilty = ast.parse(
        "from prefect import task\nimport os\nfrom tasks.ledger import Ledger\nopen('x')\npath.write_text('y')"
    )
    assert not {module.partition(".")[0] for module in imported(guilty)} <= ALLOWED
    assert imported(guilty) & IMPURE
    assert called(guilty) & TOUCHES == {"open", "write_text"}


def test_prefect_stands_in_the_flows_only():
    knowing = {
        path.relative_to(ROOT).parts[0]
        for path in SOURCES
        if any(m.split(".")[0] == "prefect" for m in imported(tree_of(path)))
    }
    assert knowing == {"flows"}


def users_of(*names: str) -> set[str]:
    """Modules that call or name any of `names`."""
    out = set()
    for path in SOURCES:
        tree = tree_of(path)
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if (called(tree) | attributes) & set(names):
            out.add(str(path.relative_to(ROOT)))
    return out


def test_only_the_ledger_writes_delta_tables():
    assert users_of("create_write_transaction", "write_deltalake", "write_delta", "sink_delta") == {
        "tasks/ledger.py"
    }
    importing = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(m.startswith("deltalake") for m in imported(tree_of(path)))
    }
    assert importing == {"tasks/ledger.py", "tasks/snapshot.py", "tasks/staged.py"}


def test_only_publish_writes_outputs_and_only_the_ledger_other_parquet_files():
    assert users_of("sink_parquet", "write_table") == {"tasks/publish.py"}
    # what somebody asks for as a file of their own stands outside the home
    assert users_of("write_parquet") == {"tasks/staged.py", "tasks/handout.py"}
