"""Audit of line files: faults, duplicates between splits, unusual characters."""
