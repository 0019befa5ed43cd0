"""Many runs of one machine: how each case went over time, and where it changed.

Knows results only, like `bench.report` and `bench.compare`.
"""
