"""The stages: discover, read, standardise, validate, ledger, balance, publish."""

import schemas  # noqa: F401  before Polars is imported: sets how it keeps memory
