"""Measure Beckon beside a floor and two peers, in one run, and refuse to print a speed that is not accounted for.

What is measured and the rules of honesty: docs/benchmarks.md. The peers live in `benchmarks/`.
"""
