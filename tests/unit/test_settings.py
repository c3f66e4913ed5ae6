"""Settings that cannot be used are refused, with what is wrong and where."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.settings import Settings, SettingsError
from schemas.store import spool_folder, sweep_spool


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("north = 3", "labs.toml of the home: north: "),
        ('[north]\ntimezone = "Nowhere/Land"', "north.timezone: 'Nowhere/Land' is no IANA time zone"),
        ('[north]\nlayouts = "generic"', 'north.layouts: write a list, such as ["one"]'),
        ('["a b"]\ntime_zone = "Europe/Berlin"', '"a b".time_zone: there is no such key; did you mean \'timezone\'?'),
        ("[north]\nsilent_after_hours = inf", "north.silent_after_hours: "),
        ("north", "not TOML"),
    ],
)  # fmt: skip
def test_what_labs_toml_says_wrong_is_told_with_the_lab_and_the_key(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "labs.toml").write_text(text)
    with pytest.raises(SettingsError) as failed:
        Settings(home=tmp_path).labs()
    assert says in str(failed.value)


def test_the_mark_that_windows_editors_put_before_a_file_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "labs.toml").write_bytes(b'\xef\xbb\xbf[north]\ntimezone = "Europe/Berlin"\r\n')
    assert Settings(home=tmp_path).lab("north").timezone == "Europe/Berlin"


def test_pseudonyms_are_never_made_with_an_empty_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="NEUROBALANCE_ID_KEY is empty"):
        Settings(home=tmp_path, id_key=" ").pseudonym_key()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "id.key").write_text("\n")
    with pytest.raises(SettingsError, match=r"secrets/id\.key of the home is empty"):
        Settings(home=tmp_path).pseudonym_key()


@pytest.mark.parametrize("place", ["gs://bucket/home", "S3://bucket", "s3://", "s3:///home"])
@pytest.mark.parametrize("name", ["home", "inbox"])
def test_a_place_that_is_no_folder_and_no_bucket_of_s3_is_refused(name: str, place: str) -> None:
    with pytest.raises(SettingsError, match="a folder, or s3://bucket/prefix"):
        Settings.model_validate({name: place})
    with pytest.raises(SettingsError, match="a folder, or s3://bucket/prefix"):
        Settings(**{name: place})


def test_a_wrong_setting_is_told_by_the_name_of_its_variable_without_its_value(monkeypatch) -> None:
    monkeypatch.setenv("NEUROBALANCE_ROWS_PER_BATCH", "many-4711")
    monkeypatch.setenv("NEUROBALANCE_SETTLE_SECONDS", "-1")
    with pytest.raises(SettingsError) as failed:
        Settings()
    assert "NEUROBALANCE_ROWS_PER_BATCH: " in str(failed.value)
    assert "NEUROBALANCE_SETTLE_SECONDS: Input should be greater than or equal to 0" in str(failed.value)
    assert "4711" not in str(failed.value)


def test_an_access_key_without_its_secret_is_refused() -> None:
    settings = Settings(home="s3://bucket/home", s3_access_key_id="key")
    with pytest.raises(SettingsError, match="NEUROBALANCE_S3_SECRET_ACCESS_KEY"):
        _ = settings.store


def test_a_sweep_goes_on_where_a_run_removes_its_temporary_folder_meanwhile(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone, _ = spool_folder(), spool_folder()
    usual = Path.is_dir

    def looked(path: Path) -> bool:  # what another process does between the look and the sweep
        found = usual(path)
        if path == gone and found:
            path.rmdir()
        return found

    monkeypatch.setattr(Path, "is_dir", looked)
    assert sweep_spool(datetime.now(UTC) + timedelta(days=1)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_leaves_folders_that_only_sound_like_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = tmp_path / "neurobalance-home"
    home.mkdir()
    assert sweep_spool(datetime.now(UTC) + timedelta(days=1)) == 0
    assert home.exists()
