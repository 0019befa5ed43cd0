"""Computes what a report says, from the raw values of `run.json`: numbers, rows, no sentences."""
