"""A real S3 server (SeaweedFS) for the tests, which can be stopped and started again."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_WEED = Path(sys.executable).with_name("weed")
KEY, SECRET = "tests-key", "tests-secret"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; SeaweedFS also takes each port + 10,000 for gRPC."""
    found: list[int] = []
    for port in range(12_000 + time.time_ns() % 8_000, 22_000):
        if len(found) == count:
            break
        try:
            for wanted in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", wanted))
        except OSError:
            continue
        found.append(port)
    return found


@dataclass
class S3Server:
    """One server with its data in one folder."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(4))
    process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        """The address of the S3 interface."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def settings(self) -> dict[str, str]:
        """The project's settings for this server."""
        return {"s3_endpoint": self.endpoint, "s3_access_key_id": KEY, "s3_secret_access_key": SECRET}

    def start(self) -> S3Server:
        """Start, and wait until it answers."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}), "utf-8")
        s3, master, volume, filer = self.ports
        log = (self.folder / "log.txt").open("ab")
        self.process = subprocess.Popen(
            [_WEED, "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.port={s3}",
             f"-s3.config={config}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
             "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=50", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"],
            stdout=log, stderr=log, cwd=self.folder,
        )  # fmt: skip
        log.close()
        self._wait()
        return self

    def _wait(self) -> None:
        import obstore
        from obstore.store import S3Store

        until = time.monotonic() + 60
        store = S3Store(
            "probe", endpoint=self.endpoint, region="us-east-1", access_key_id=KEY, secret_access_key=SECRET,
            client_options={"allow_http": True}, retry_config={"max_retries": 0},
        )  # fmt: skip
        while True:
            try:
                obstore.put(store, "alive", b"yes")
                return
            except Exception:
                if time.monotonic() > until or (self.process and self.process.poll() is not None):
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        """Kill it: what it acknowledged it must still have."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """An S3 server for the whole session; skips loudly where its program is not installed."""
    if not _WEED.exists():
        pytest.skip(
            "NOT TESTED: the S3 server `weed` is not installed; run `make test` on a machine that it is built for"
        )
    server = S3Server(tmp_path_factory.mktemp("s3")).start()
    yield server
    server.stop()
