"""Simulations and timings that `make bench` runs; every figure in docs/ comes from here."""
