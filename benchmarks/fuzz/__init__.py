"""Inputs spoilt at random, which must be read right or refused in one line: python -m benchmarks.fuzz.NAME."""
