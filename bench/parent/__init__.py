"""pytest's process: starts a process per case, asks it, ends it and records what it answered."""
