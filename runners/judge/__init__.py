"""Judges: language models that compare or rate replies, asked over an OpenAI-compatible API."""
