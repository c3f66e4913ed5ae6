"""The stages: discover, read, standardise, validate, ledger, balance, publish."""
