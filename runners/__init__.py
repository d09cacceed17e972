"""Grids, training, scoring: what turns a grid into landing files."""
