"""Stored images, read by row, and how each source is prepared."""
