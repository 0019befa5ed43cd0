"""`run.json`: its form, its writer, its reader, and older forms of it."""
