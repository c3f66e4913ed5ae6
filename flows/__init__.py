"""The Prefect flows and the `neurobalance` command."""

import schemas  # noqa: F401  before Polars is imported: sets how it keeps memory
