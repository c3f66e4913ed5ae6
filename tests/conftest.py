"""What all tests share: a home to ingest into, and the built-in catalogue."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from schemas.catalogue import Catalogue, load_catalogue
from tests.home import Home

settings.register_profile(
    "short", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile(
    "soak", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("soak" if os.environ.get("NEUROBALANCE_SOAK") else "short")


@pytest.fixture
def home(tmp_path) -> Home:
    """An empty home with the lab `north`, which is in Berlin."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The built-in catalogue."""
    return load_catalogue()
