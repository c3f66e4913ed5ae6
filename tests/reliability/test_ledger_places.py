"""Labs of any name, homes at any place, and files that are their owner's only."""

import stat

import pytest

from schemas.settings import SettingsError
from tests.home import Home, table
from tests.reliability.ledgers import assert_once

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

ODD = [
    'o\'brien & "sons"',
    "a/b\\c",
    "Müller – Größe 試験所",
    "..",
    "50%",
    "a=b,c;d",
    "nul\x00lab",
    " lab ",
    "[x]*?{y}",
]


@pytest.mark.in_a_folder
@pytest.mark.parametrize("lab", ODD)
def test_a_lab_may_have_any_name(home, lab):
    export = home.archive(lab, table({"collected_at": "2024-03-01", "reported_at": ""}))
    assert home.commit(export) == {export: 1}
    assert home.commit(export) == {}
    assert home.ledger.open().labs() == [lab]
    assert len(home.ledger.open().rows(lab).collect()) == 1
    home.publish()
    assert home.output("results")["lab"].to_list() == [lab]
    assert_once(home, lab)
    assert {path.name for path in home.folder.parent.iterdir()} == {"home"}


def test_all_odd_labs_stand_side_by_side(home):
    for lab in ODD:
        home.commit(home.archive(lab, table({"collected_at": "2024-03-01", "reported_at": ""})))
    home.publish()
    assert sorted(home.output("results")["lab"]) == sorted(ODD)
    assert home.output("results")["sample"].n_unique() == len(ODD)


@pytest.mark.parametrize("name", ["home with spaces", "käse[1]*?", "a#b", "a?b=c&d"])
def test_a_home_may_stand_anywhere(tmp_path, name):
    home = Home(tmp_path / name)
    home.ingest("north", table({}))
    assert len(home.output("results")) == 1
    assert home.publish() == {}


def test_a_home_where_delta_tables_cannot_stand_says_so(tmp_path):
    with pytest.raises(SettingsError, match="choose another home"):
        Home(tmp_path / "50%20").ledger.open()


@pytest.mark.in_a_folder
def test_ledger_and_archive_are_for_their_owner_only(home):
    home.ingest("north", table({}))
    for folder in (home.folder / "ledger", home.folder / "archive"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.folder / "secrets/id.key").stat().st_mode) == 0o600
