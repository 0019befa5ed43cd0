"""Two runs compared: which cases became faster or slower, and which difference could be seen.

Knows results only: `run.json` of both runs.
"""
