"""Benchmarks of the warehouse over generated landing files; `make bench` runs them."""
