"""The command: exit statuses, what is said, and that `check` writes nothing. Without Prefect's server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.quiet import StageFailed, StorageFailed, quiet, said_safely
from schemas.settings import Settings, SettingsError
from tasks.archive import archive
from tasks.bench import Bench
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

TIDY = (
    "Patient ID,Sample ID,Specimen,Test,Result,Units,Collected\n"
    "P1,S1,Serum,Kynurenine,2.4,umol/L,2024-03-01\n"
    "P1,S1,Serum,Tryptophan,60,umol/L,2024-03-01\n"
    "P1,S1,Serum,[bold]Nonsense[/bold],60,umol/L,2024-03-01\n"
)
runner = CliRunner()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "NEUROBALANCE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("os.environ", dict(os.environ))
    return tmp_path / "home"


def taken_in(home: Path, text: str, lab: str = "north") -> str:
    """Take in one export without the flow; gives its hash."""
    settings = Settings(home=home)
    path = home.parent / "result list.csv"
    path.write_text(text)
    bench = Bench.of(settings)
    with path.open("rb") as source:
        export = archive(settings, lab, source, path.name)
    Ledger(settings.store).commit(lab, *prepare(bench, [export], {}))
    Publisher(settings, bench.catalogue).publish()
    return export.sha256


def call(home: Path, *words: str) -> tuple[int, str]:
    done = runner.invoke(app, [*words, "--home", str(home)])
    return done.exit_code, done.output


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from flows.cli import app; from typer.testing import CliRunner; "
        "assert 'ingest' in CliRunner().invoke(app, ['--help']).output; "
        "print([m for m in ('polars', 'prefect', 'pandera', 'pyarrow', 'deltalake', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_check_tells_layout_columns_and_reasons_and_writes_nothing(home: Path, tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_text(TIDY)
    code, said = call(home, "check", str(export), "--lab", "north")
    assert code == 0
    assert "generic" in said
    assert "Result -> value" in said
    assert "unknown analyte" in said
    assert "[bold]Nonsense[/bold]" in said
    assert not home.exists()


def test_check_of_a_file_that_nobody_can_read_says_so(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 10)
    code, said = call(home, "check", str(tmp_path / "x.bin"))
    assert code == 0
    assert "no layout fits" in said


def test_wrong_usage_exits_with_2(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TIDY)
    assert call(home, "ingest", str(tmp_path / "x.csv"))[0] == 2  # no lab
    assert call(home, "ingest", "--lab", "north", str(tmp_path / "none.csv"))[0] == 2
    assert call(home, "check", str(tmp_path / "none.csv"))[0] == 2
    assert call(home, "show", "12")[0] == 2
    assert call(home, "show", "abcdef")[0] == 2
    assert call(home, "catalogue", "people")[0] == 2
    assert call(home, "nonsense")[0] == 2


def test_show_gives_name_receipt_and_quarantined_rows_with_their_text(home: Path) -> None:
    export = taken_in(home, TIDY)
    code, said = call(home, "show", export[:12])
    assert code == 0
    assert "result list.csv" in said
    assert "[bold]Nonsense[/bold]" in said
    assert "unknown analyte" in said
    assert "under [analytes]" in said


def test_status_counts_exports_reasons_and_months_but_names_nothing(home: Path) -> None:
    taken_in(home, TIDY)
    code, said = call(home, "status")
    assert code == 0
    assert "unknown analyte" in said
    assert "2024-03" in said
    assert "result list" not in said
    assert "Nonsense" not in said


def test_status_of_an_empty_home_says_what_to_do(home: Path) -> None:
    code, said = call(home, "status")
    assert code == 0
    assert "inbox" in said


def test_a_choice_that_cannot_be_meant_is_wrong_usage(home: Path) -> None:
    assert call(home, "backfill", "--from", "2024")[0] == 2
    assert call(home, "backfill", "--to", "2024-13")[0] == 2
    code, said = call(home, "backfill", "--from", "2024-05", "--to", "2024-04")
    assert code == 2
    assert "later than the last" in said
    assert call(home, "withdraw", "abcdef", "--reason", "why")[0] == 2  # no such export
    assert call(home, "withdraw", "abcdef")[0] == 2  # no reason
    assert call(home, "withdraw", "abcdef", "--reason", "why", "--undo")[0] == 2


def test_show_and_status_name_the_command_that_reads_again_what_was_mended(home: Path) -> None:
    export = taken_in(home, TIDY, "lab of north")
    assert "neurobalance backfill --quarantined --lab 'lab of north'" in call(home, "show", export[:12])[1]
    assert "neurobalance backfill --quarantined\n" in call(home, "status")[1]


def test_withdraw_takes_the_rows_out_says_why_and_how_to_undo_it(home: Path) -> None:
    export = taken_in(home, TIDY)
    code, said = call(home, "withdraw", export[:8], "--reason", "for [another] lab")
    assert code == 0, said
    assert "2 accepted rows count no longer; months published: 1" in said
    assert f"neurobalance withdraw {export[:12]} --undo" in said
    assert "nothing changed" in call(home, "withdraw", export[:8], "--reason", "again")[1]
    shown = call(home, "show", export[:8])[1]
    assert "for [another] lab" in shown
    assert "--undo" in shown
    code, said = call(home, "withdraw", export[:8], "--undo")
    assert code == 0, said
    assert "2 rows accepted, 1 quarantined; months published: 1" in said
    assert "is not withdrawn" in call(home, "withdraw", export[:8], "--undo")[1]


@pytest.mark.parametrize(
    ("what", "known"),
    [
        ("analytes", "kynurenine"),
        ("metrics", "kyn_trp"),
        ("units", "umol"),
        ("specimens", "csf"),
        ("layouts", "generic"),
    ],
)
def test_the_catalogue_is_listed(home: Path, what: str, known: str) -> None:
    code, said = call(home, "catalogue", what)
    assert code == 0
    assert known in said


def test_a_broken_layout_is_named_with_its_key(home: Path, tmp_path: Path) -> None:
    (home / "layouts").mkdir(parents=True)
    (home / "layouts" / "mine.toml").write_text('name = "mine"\n[columns]\npatient = "ID"\n')
    (tmp_path / "x.csv").write_text(TIDY)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "check", str(tmp_path / "x.csv"), "--home", str(home)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "mine.toml" in done.stderr
    assert "columns" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_a_library_is_told_without_its_text() -> None:
    @quiet("reading")
    def fails() -> None:
        raise ValueError("the value CANARY of Mrs. Example is wrong")

    with pytest.raises(StageFailed) as failed:
        fails()
    assert "CANARY" not in str(failed.value)
    assert "reading: ValueError" in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


def test_an_error_of_storage_is_told_without_the_path_and_can_be_tried_again() -> None:
    @quiet("archive")
    def fails() -> None:
        raise PermissionError(13, "Permission denied", "/data/inbox/MRS EXAMPLE.csv")

    with pytest.raises(StorageFailed) as failed:
        fails()
    assert "EXAMPLE" not in str(failed.value)
    assert "Permission denied" in str(failed.value)


def test_our_own_errors_keep_their_text() -> None:
    assert said_safely("x", SettingsError("labs.toml: mend it")) == "labs.toml: mend it"


def test_a_shared_home_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="NEUROBALANCE_ID_KEY"):
        Settings(home=tmp_path, shared_home=True).pseudonym_key()
    assert (
        Settings.model_validate({"home": tmp_path, "shared_home": True, "id_key": "k"}).pseudonym_key()
        == b"k"
    )


def test_the_embedded_key_is_made_once(tmp_path: Path) -> None:
    first = Settings(home=tmp_path).pseudonym_key()
    assert len(first) == 64
    assert Settings(home=tmp_path).pseudonym_key() == first
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["id.key"]


def test_a_drafted_layout_is_a_layout_and_changes_nothing_until_gaps_are_filled(
    home: Path, tmp_path: Path
) -> None:
    export = tmp_path / "export.csv"
    export.write_text(TIDY)
    code, said = call(home, "layout", "new", str(export), "--lab", "north")
    assert code == 0, said
    drafted = home / "layouts" / "north-generic.toml"
    text = drafted.read_text()
    assert '"[bold]Nonsense[/bold]"' in text
    code, said = call(home, "check", str(export), "--lab", "north")
    assert "north-generic" in said
    assert "unknown analyte" in said
    drafted.write_text(
        text.replace("[analytes]\n# ", "[analytes]\n").replace(
            "an analyte id, see neurobalance catalogue analytes", "taurine"
        )
    )
    code, said = call(home, "check", str(export), "--lab", "north")
    assert code == 0
    assert "unknown analyte" not in said
    assert call(home, "layout", "new", str(export), "--lab", "north")[0] == 2  # nothing is overwritten


def test_a_table_that_no_layout_knows_is_drafted_from_its_headers(home: Path, tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_text("alpha;beta;gamma\n1;2;3\n4;5;6\n")
    code, said = call(
        home, "layout", "new", str(export), "--lab", "north", "--output", str(tmp_path / "mine.toml")
    )
    assert code == 0, said
    assert '"alpha", "beta", "gamma"' in (tmp_path / "mine.toml").read_text()


def test_a_home_is_kept_in_shape_by_a_command(home: Path) -> None:
    taken_in(home, TIDY)
    taken_in(home, TIDY.replace("S1", "S2"))
    code, said = call(home, "maintain")
    assert code == 0
    assert "4 small files of the ledger put together into 2" in said


def test_erasing_asks_first_and_changes_nothing_without_a_yes(home: Path) -> None:
    taken_in(home, TIDY)
    done = runner.invoke(app, ["erase", "P1", "--lab", "north", "--home", str(home)], input="n\n")
    assert done.exit_code == 1
    assert "3 rows of 1 samples" in done.output
    assert "Nothing was changed" in done.output
    done = runner.invoke(app, ["erase", "-", "--lab", "north", "--yes", "--home", str(home)], input="P1\n")
    assert done.exit_code == 0
    assert "P1" not in done.output
    assert Ledger(Settings(home=home).store).open().all_rows("north").collect().is_empty()


def test_changes_are_told_with_their_cause_and_written_to_a_file(home: Path, tmp_path: Path) -> None:
    taken_in(home, TIDY)
    output = tmp_path / "changes.csv"
    code, said = call(home, "diff", "--since", "2024-01-01", "--metric", "kyn_trp", "--output", str(output))
    assert code == 0
    assert "new export" in said
    assert "Metric values that changed: 1." in said
    assert "new export" in output.read_text()
    assert call(home, "diff", "--since", "2024-01-01", "--output", str(tmp_path / "x.ods"))[0] == 2
