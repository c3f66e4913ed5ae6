"""The Prefect flows and the `neurobalance` command."""
