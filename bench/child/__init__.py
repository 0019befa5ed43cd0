"""A case's own process: the only part of `bench` that imports a framework."""
