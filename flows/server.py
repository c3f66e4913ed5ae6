"""Prefect's server as a process beside ours: started, waited for, ended. Run as a program it is that server.

Prefect is imported late: what asks for a server first has it start while everything else is loaded.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial

#: Seconds that a server may take to start, and to stop before it is ended by force.
_TO_START = 180
_TO_STOP = 20
_PR_SET_PDEATHSIG = 1


class CannotServe(Exception):
    """There is no server, or what it serves is no schedule. The message says why, and what to do."""


def named() -> str | None:
    """Address of the API that Prefect's settings name: PREFECT_API_URL, a profile or a file of settings."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def beside() -> Callable[[], None]:
    """Let Prefect's server start beside this process, unless one is named, and end with it.

    What is returned waits until the server answers (raises CannotServe); a flow may run after that only. It
    is the server that Prefect would start itself, which does so, and waits, when everything is loaded.
    """
    if named():
        return lambda: None
    port = free(0)
    url = f"http://127.0.0.1:{port}/api"
    child = start("flows.server", str(port))
    # before Prefect sends anything: what it still has to send at the end is sent first
    atexit.register(end, child)
    use(url)
    return partial(wait, child, url)


def use(url: str) -> None:
    """Make this process, and what it starts, use the API at this address."""
    os.environ["PREFECT_API_URL"] = url
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def start(module: str, *arguments: str) -> subprocess.Popen:
    """Run a module in a session of its own: an interrupt at the terminal reaches this process only."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        start_new_session=True,
        preexec_fn=_end_with_parent,
        stdout=subprocess.DEVNULL,
    )


def end(child: subprocess.Popen) -> None:
    """End a child and what it started: asked first, so that a run can say that it was ended."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    until = time.monotonic() + _TO_STOP
    with suppress(ProcessLookupError):  # raised once nothing of the group is left
        while time.monotonic() < until:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _end_with_parent() -> None:
    """Even where the parent is killed outright, its children do not stay behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free(port: int) -> int:
    """The port, if it is free; for 0 any free one. Raises CannotServe."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CannotServe(
                f"port {port} is taken: name another with --port, or set PREFECT_API_URL if a Prefect server runs there"
            ) from None
        return probe.getsockname()[1]


def wait(process: subprocess.Popen, url: str) -> None:
    """Wait until the server answers. Raises CannotServe where it ends or takes too long."""
    until = time.monotonic() + _TO_START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise CannotServe(
                f"the Prefect server ended with exit status {process.returncode} while it started"
            )
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise CannotServe(f"the Prefect server did not start within {_TO_START} seconds")


if __name__ == "__main__":
    import uvicorn
    from prefect.server.api.server import create_app

    # as Prefect starts it for itself: without pages and without what schedules
    uvicorn.run(
        create_app(ephemeral=True, final=True), host="127.0.0.1", port=int(sys.argv[1]), log_level="error"
    )
