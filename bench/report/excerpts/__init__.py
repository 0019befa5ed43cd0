"""The parts of a report that other Markdown files can include."""
