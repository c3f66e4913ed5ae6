"""What a process imports before it forks, so that its forks begin at once.

Nothing here may start a thread of Polars or of delta-rs: threads do not survive a fork.
"""

import fastapi
import pandera.polars
import prefect.flow_engine
import prefect.task_engine
import pytest

import flows.backfill
import flows.ingest
import tests.home
from schemas import outputs
from schemas.catalogue import load_catalogue

__all__ = ["fastapi", "flows", "pandera", "prefect", "pytest", "tests"]

for _columns in outputs.datasets(load_catalogue()).values():
    outputs.pandera_schema(_columns)  # kept in memory
