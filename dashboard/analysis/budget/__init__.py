"""Budgets and next runs: how much data, of which source and ability, and what to run next."""
