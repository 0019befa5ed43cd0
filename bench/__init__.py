"""Measures loaders and reports: `pytest bench/ --benchmark-only`. Imports load no framework."""
