"""One bad export never stops the others: the real flow over everything bad at once, good files among it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.home import Home, table
from tests.reliability.servers import ROOT, prefect_server

#: drops the privileges by which root reads files that are closed to it; then takes in the inbox
CLOSED_IS_CLOSED = """
import os, sys, ctypes
if os.geteuid() == 0:
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH leave the bounding set (PR_CAPBSET_DROP)
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "flows.cli", *sys.argv[1:]])
"""
#: keeps on appending to a file, and lets another vanish as soon as a run has begun
#: real servers take their time on a busy machine
pytestmark = pytest.mark.timeout(600)

MEANWHILE = """
import os, sys, time
growing, vanishing, note = sys.argv[1:]
for part in range(600):
    with open(growing, "ab") as file:
        file.write(b"P1,S%03d,urine,dopamine,150,nmol/L\\n" % part)
    if os.path.exists(note) and os.path.exists(vanishing):
        os.unlink(vanishing)
    time.sleep(0.1)
"""


def bad_files() -> dict[str, bytes]:
    good = table({"sample": "Z1"})
    return {
        "empty.csv": b"",
        "nul.csv": b"\x00" * 4096,
        "noise.bin": bytes(range(256)) * 64,
        "half.xlsx": b"PK\x03\x04" + b"\x00" * 100,
        "page.pdf": b"%PDF-1.7\n%%EOF\n",
        "open.xml": b"<?xml version='1.0'?><a><b>",
        "bomb.xml": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'x'><!ENTITY y '&x;&x;'>]><a>&y;</a>",
        "cut.json": b'{"resourceType": "Bundle", "entry": [',
        "cut.hl7": b"MSH|^~\\&|\rOBX|",
        "utf16.csv": b"\xff\xfe" + good.decode().encode("utf-16-le")[:-1],
        "short.csv": good + b"P1,S1\n",
        "=cmd()'; DROP TABLE.csv": good.replace(b"Z1", b"Z2"),
        "new\nline.csv": good.replace(b"Z1", b"Z3"),
        ".hidden.csv": good,
        "going.csv.part": good,
    }


@pytest.mark.slow
def test_everything_bad_at_once_stops_nothing(home: Home, tmp_path: Path) -> None:
    inbox = home.folder / "inbox"
    for lab in ("bad", "north"):
        (inbox / lab).mkdir(parents=True)
    for name, content in bad_files().items():
        (inbox / "bad" / name).write_bytes(content)
    (inbox / "bad" / os.fsdecode(b"no-text-\xff.csv")).write_bytes(table({"sample": "Z4"}))
    (inbox / "bad" / "closed.csv").write_bytes(table({"sample": "Z5"}))
    (inbox / "bad" / "closed.csv").chmod(0)
    (inbox / "bad" / "link.csv").symlink_to("/etc/hostname")
    os.mkfifo(inbox / "bad" / "pipe.csv")
    (inbox / "bad" / "vanishing.csv").write_bytes(table({"sample": "Z6"}))
    good = [table({"sample": f"S{number}"}) for number in range(5)]
    for number, content in enumerate(good):
        (inbox / "north" / f"good-{number}.csv").write_bytes(content)
    growing = inbox / "north" / "growing.csv"
    with prefect_server(tmp_path) as server:
        meanwhile = subprocess.Popen(
            [sys.executable, "-c", MEANWHILE, str(growing), str(inbox / "bad" / "vanishing.csv"),
             str(home.folder / "last-run.json")],
        )  # fmt: skip
        try:
            done = subprocess.run(
                [sys.executable, "-c", CLOSED_IS_CLOSED, "ingest"],
                env=server.reach(NEUROBALANCE_HOME=str(home.folder)) | {"NEUROBALANCE_SETTLE_SECONDS": "2"},
                cwd=ROOT, capture_output=True, text=True,
            )  # fmt: skip
        finally:
            meanwhile.kill()
            meanwhile.wait()
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path.name for path in inbox.rglob("*") if not path.is_dir()}
    assert left == {"closed.csv", "link.csv", "pipe.csv", "growing.csv", ".hidden.csv", "going.csv.part"}
    receipts = home.ledger.open().receipts()
    assert len(receipts.filter(lab="north")) == len(good)
    assert receipts.filter(lab="north")["accepted_rows"].sum() == len(good)
    readable = len(bad_files()) - 2 + 1  # all but the unfinished names, and the name that is no text
    assert len(receipts.filter(lab="bad")) == readable
    assert "Left in the inbox" in done.stdout
    assert ": 2 files" in done.stdout
    said = done.stdout + done.stderr + (tmp_path / "server.log").read_text("utf-8", "replace")
    assert not [name for name in (*bad_files(), "good-0", "Z2") if name in said]
