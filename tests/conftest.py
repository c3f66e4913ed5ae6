"""What all tests share: a home to ingest into, and the built-in catalogue."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid

import pytest
from hypothesis import HealthCheck, settings

from schemas.catalogue import Catalogue, load_catalogue
from tests.home import Home
from tests.s3 import s3  # noqa: F401  (a fixture)

# a helper that asserts says as much as a test that does
pytest.register_assert_rewrite("tests.reliability", "tests.unit")

settings.register_profile(
    "short", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile(
    "soak", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# a folder for all processes of this run, which the first of them makes and removes
if "SHARED_BY_THE_TESTS" not in os.environ:
    os.environ["SHARED_BY_THE_TESTS"] = tempfile.mkdtemp(prefix="tests-")
    atexit.register(shutil.rmtree, os.environ["SHARED_BY_THE_TESTS"], ignore_errors=True)
# a sweep in one process of the tests must not find what another is writing; what pytest keeps of failed tests stays
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(
    prefix="own-", dir=os.environ["SHARED_BY_THE_TESTS"]
)
# other accounts pass through, as that which runs PostgreSQL, or make folders of their own in it
os.chmod(os.environ["SHARED_BY_THE_TESTS"], 0o711)
os.chmod(tempfile.tempdir, 0o1777)
# what tests put into an inbox is at rest; tests of uploads say otherwise
os.environ.setdefault("NEUROBALANCE_SETTLE_SECONDS", "0")
settings.load_profile("soak" if os.environ.get("NEUROBALANCE_SOAK") else "short")


def pytest_generate_tests(metafunc):
    """A module that says `HOMES = ("folder", "bucket")` runs its tests on both kinds of home, but for tests
    that look at files of a folder, which are marked `in_a_folder`."""
    homes = getattr(metafunc.module, "HOMES", None)
    if (
        homes
        and "home" in metafunc.fixturenames
        and not metafunc.definition.get_closest_marker("in_a_folder")
    ):
        metafunc.parametrize("home", homes, indirect=True)


@pytest.fixture
def home(request, tmp_path) -> Home:
    """An empty home with the lab `north`, which is in Berlin: in a folder, or in a bucket of an S3 server."""
    if getattr(request, "param", "folder") == "folder":
        return Home(tmp_path / "home")
    server = request.getfixturevalue("s3")
    # a stage that is told the home only takes the rest from the environment, as on a worker
    for name, value in {"id_key": "of the tests", **server.settings}.items():
        request.getfixturevalue("monkeypatch").setenv(f"NEUROBALANCE_{name.upper()}", value)
    return Home(f"s3://homes/{uuid.uuid4().hex}", options={"id_key": "of the tests", **server.settings})


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The built-in catalogue."""
    return load_catalogue()
