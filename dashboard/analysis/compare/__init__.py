"""Comparisons of data sources, model scales and abilities (see docs/comparisons.md)."""
