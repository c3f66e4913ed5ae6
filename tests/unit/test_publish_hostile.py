"""Published files and ledgers of unusual content: what is published is whole, and no run fails."""

from __future__ import annotations

import errno
from typing import IO

import pytest

from schemas.store import Folder
from tests.home import Home, same, table

KYN = {"specimen": "serum", "unit": "umol/L", "analyte": "kynurenine", "value": "2"}
TRP = KYN | {"analyte": "tryptophan", "value": "50"}


@pytest.mark.parametrize("dated", [[], [KYN, TRP]])
def test_many_rows_without_a_month_are_published_as_quarantine(tmp_path, dated):
    undated = [row | {"sample": f"U{n}", "collected_at": ""} for n in range(10) for row in (KYN, TRP)]
    one, other = (
        Home(tmp_path / name, options={"id_key": "key", **options})
        for name, options in (("all", {}), ("few", {"rows_per_batch": 2}))
    )
    for home in (one, other):
        home.ingest("north", table(*undated, *dated))
        assert home.reasons() == {"no collection time": 20}
        assert len(home.output("results")) == len(dated)
    assert same(one.comparable(), other.comparable()) == []


#: what a disk may leave of a file
TORN = {
    "nothing": lambda whole: b"",
    "its first mark": lambda whole: whole[:4],
    "other bytes": lambda whole: b"no Parquet at all" * 100,
    "the first half": lambda whole: whole[: len(whole) // 2],
    "zeros before its end": lambda whole: whole[:-200] + bytes(192) + whole[-8:],
}


@pytest.mark.parametrize("left", TORN)
def test_a_published_file_that_is_torn_is_made_again(home, left):
    home.ingest("north", table(KYN, TRP, KYN | {"sample": "S2", "value": "x"}))
    before = home.comparable()
    files = {path.parts[len(home.outputs.parts)]: path for path in home.outputs.rglob("*.parquet")}
    assert set(files) == {"results", "metrics", "panels", "quarantine", "exports", "catalogue"}
    for path in files.values():
        path.write_bytes(TORN[left](path.read_bytes()))
    assert home.publish() == dict.fromkeys(files, 1)
    assert same(before, home.comparable()) == []
    assert home.publish() == {}


def test_storage_that_fails_is_not_taken_for_a_torn_file(home, monkeypatch):
    home.ingest("north", table(KYN, TRP))
    usual = Folder.open

    def failing(folder: Folder, name: str) -> IO[bytes]:
        if name.startswith("outputs/"):
            raise OSError(errno.EIO, "Input/output error")
        return usual(folder, name)

    monkeypatch.setattr(Folder, "open", failing)
    with pytest.raises(OSError, match="Input/output error"):
        home.publish()
