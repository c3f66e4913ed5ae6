"""Compressed exports: what is inside is read as if it had come as it is; bombs, nests and names do no harm."""

from __future__ import annotations

import gc
import gzip
import io
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas.export import ROWS_SCHEMA, Unreadable
from tasks.readers import choose, compressed, read
from tests.formats.damaged import LAYOUTS, knows, reason_of, rows_of
from tests.formats.golden import HERE, source

TABLE = b"Sample ID;Test;Result;Unit;Specimen\n" + b"".join(
    b"S%d;Dopamine;%d.5;nmol/L;Plasma\n" % (n, n * 37 % 991) for n in range(1, 400)
)
#: one of each kind of container, among them a workbook, which is a zip itself
SAMPLES = (
    "hl7v2/oru-r01-01", "fhir/bundle-ghp", "masshunter/areas", "mwtab/serum-steroids-json", "sdtm/xpt-version-5",
    "targetlynx/quandata", "workbooks/ratbrain", "workbooks/xls-two-sheets", "shimadzu/gcms",
)  # fmt: skip


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, which is empty again after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_compressed_export_reads_like_the_export(tmp_path: Path, name: str) -> None:
    content = source(HERE / name).read_bytes()
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(content)
    expected, notes = rows_of(plain)
    assert expected is not None
    for kind, data in (("gzip", gzip.compress(content)), ("zip", zipped({"report.txt": content}))):
        packed.write_bytes(data)
        rows, said = rows_of(packed)
        assert rows is not None
        assert rows.equals(expected)
        assert said == " | ".join(filter(None, (kind, notes)))


def test_folders_and_what_a_mac_adds_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(zipped({"run 7/": b"", "run 7/a.csv": TABLE, "__MACOSX/run 7/._a.csv": b"\x00\x05\x16"}))
    rows, notes = rows_of(path)
    assert rows is not None
    assert rows.height == 399
    assert notes.startswith("zip | ")


def test_several_files_are_asked_for_one_by_one(tmp_path: Path) -> None:
    members = {"a.csv": TABLE, "b.csv": TABLE}
    assert reason_of(tmp_path, zipped(members)) == "a zip archive of 2 files: send them one by one"
    assert reason_of(tmp_path, zipped({"a/": b""})) == "a zip archive with nothing in it"


def test_nested_archives_are_refused(tmp_path: Path) -> None:
    gz, archive = gzip.compress(TABLE), zipped({"a.csv": TABLE})
    assert reason_of(tmp_path, gzip.compress(gz)) == "a gzip within a gzip: compress it once only"
    assert reason_of(tmp_path, gzip.compress(archive)) == "a zip within a gzip: compress it once only"
    assert reason_of(tmp_path, zipped({"a.gz": gz})) == "a gzip within a zip: compress it once only"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = zipped({"a.zip": archive}, method)
        assert reason_of(tmp_path, data) == "a zip within a zip: compress it once only"
    tar = b"a.csv".ljust(257, b"\x00") + b"ustar" + bytes(1000)
    assert reason_of(tmp_path, gzip.compress(tar)).startswith("a tar archive within a gzip")
    assert "send it as it is" in reason_of(tmp_path, b"7z\xbc\xaf\x27\x1c" + bytes(100))
    assert "send it as it is" in reason_of(tmp_path, gzip.compress(b"BZh9" + bytes(100)))
    assert "office document" in reason_of(tmp_path, zipped({"mimetype": b"x", "content.xml": b"<x/>"}))


def test_bombs_are_stopped_as_soon_as_they_pass_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"S1;Dopamine;1.5;nmol/L;Plasma\n" * 700_000
    head = b"Sample ID;Test;Result;Unit;Specimen\n"
    bombs = {"gzip": gzip.compress(head + lines), "zip": zipped({"a.csv": head + lines})}
    for kind, data in bombs.items():
        assert reason_of(tmp_path, data) == f"the {kind} inflates to more than 200 times its size"
    monkeypatch.setattr(compressed, "MAX_BYTES", 4 << 20)
    monkeypatch.setattr(compressed, "MAX_RATIO", 10_000)
    for kind, data in bombs.items():
        assert reason_of(tmp_path, data) == f"the {kind} inflates to more than 0 GiB"


def test_a_small_table_of_zeros_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(gzip.compress(b"Sample ID;Test;Result\n" + b"S1;Dopamine;0\n" * 100_000, 9))
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows.height == 100_000


def test_detection_inflates_the_head_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = compressed._chunks

    def measured(path, member, limit):  # type: ignore[no-untyped-def]
        for chunk in real(path, member, limit):
            sizes.append(len(chunk))
            yield chunk

    monkeypatch.setattr(compressed, "_chunks", measured)
    path = tmp_path / "export"
    for data in (gzip.compress(TABLE * 100), zipped({"a": TABLE * 100})):
        sizes.clear()
        path.write_bytes(data)
        assert choose(path, LAYOUTS, "lab", is_analyte=knows).layout is not None
        assert sum(sizes) == 64 * 1024 + 1


def test_no_name_of_a_member_is_used(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "export"
    for name in ("../../evil.csv", "/etc/evil.csv", "C:\\evil.csv", "a\nb\x1b[2J.csv", "x" * 5000, "é\u202e"):
        path.write_bytes(zipped({name: TABLE}))
        choice = choose(path, LAYOUTS, "lab", is_analyte=knows)
        assert choice.layout is not None
        batches = read(path, choice.layout, knows).batches
        first = next(batches)
        (folder,) = private.iterdir()
        assert [file.name for file in folder.iterdir()] == ["export"]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "export").stat().st_mode) == 0o600
        assert first.height + sum(batch.height for batch in batches) == 399
        assert list(private.iterdir()) == []


def test_what_was_inflated_goes_also_when_nobody_reads_on(tmp_path: Path, private: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(gzip.compress(TABLE))
    choice = choose(path, LAYOUTS, "lab", is_analyte=knows)
    assert choice.layout is not None
    reading = read(path, choice.layout, knows)  # its batches are never begun
    assert len(list(private.iterdir())) == 1
    del reading
    gc.collect()  # its generator knows it
    assert list(private.iterdir()) == []
    with pytest.raises(Unreadable):  # the layout does not fit
        read(path, LAYOUTS["targetlynx-xml"], knows).batches.__next__()


def test_a_file_that_ends_early_has_a_reason(tmp_path: Path) -> None:
    whole = {row[:2]: row for row in _rows(tmp_path, TABLE).rows()}
    for data in (gzip.compress(TABLE), zipped({"a.csv": TABLE}), zipped({"a.csv": TABLE}, 0)):
        for size in range(64, len(data), 64):
            path = tmp_path / "cut"
            path.write_bytes(data[:size])
            rows, reason = rows_of(path)
            assert rows is None, f"cut at byte {size}"
            assert "cut off" in reason
    assert len(whole) == 399


def _rows(tmp_path: Path, content: bytes) -> pl.DataFrame:
    path = tmp_path / "whole"
    path.write_bytes(content)
    rows, _ = rows_of(path)
    assert rows is not None
    return rows.select(list(ROWS_SCHEMA))


def test_every_flipped_byte_gives_the_right_rows_or_a_reason(tmp_path: Path) -> None:
    right = _rows(tmp_path, TABLE)
    read_anyway = 0
    for data in (gzip.compress(TABLE, mtime=0), zipped({"a.csv": TABLE})):
        for at in range(0, len(data), 7):
            path = tmp_path / "flipped"
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
            rows, reason = rows_of(path)
            if rows is None:
                assert reason
                continue
            read_anyway += 1  # a date or a name of the archive
            assert rows.equals(right)
    assert read_anyway > 0


def test_a_directory_that_lies_has_a_reason(tmp_path: Path) -> None:
    size = struct.pack("<L", len(TABLE))
    for claimed in (10, len(TABLE) * 2):
        data = zipped({"a.csv": TABLE}).replace(size, struct.pack("<L", claimed))
        assert reason_of(tmp_path, data) == "the zip is damaged or cut off"
    encrypted = bytearray(zipped({"a.csv": TABLE}))
    encrypted[6] |= 1
    encrypted[encrypted.rfind(b"PK\x01\x02") + 8] |= 1
    assert "without a password" in reason_of(tmp_path, bytes(encrypted))
    assert "deflate" in reason_of(tmp_path, zipped({"a.csv": TABLE}, zipfile.ZIP_LZMA))


def test_an_archive_of_very_many_files_is_refused_by_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "MAX_DIRECTORY", 1000)
    data = zipped({f"{n:09}": b"" for n in range(100)})
    assert reason_of(tmp_path, data) == "a zip archive of very many files: send them one by one"


def test_a_gzip_of_several_parts_is_one_export(tmp_path: Path) -> None:
    middle = TABLE.index(b"S200;")
    path = tmp_path / "export"
    path.write_bytes(gzip.compress(TABLE[:middle]) + gzip.compress(TABLE[middle:]))
    rows, _ = rows_of(path)
    assert rows is not None
    assert rows.height == 399
