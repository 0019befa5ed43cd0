"""Words what an audit found, and lays it out on the terminal."""
