"""Synthetic data: a teacher answers instructions, or writes new ones first."""
