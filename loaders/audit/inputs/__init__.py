"""The input of an audit: its kind and length, how it is imported, seeded and passed to `fit`."""
