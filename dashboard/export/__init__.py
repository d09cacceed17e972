"""Figures and tables as files, for the app and the command line; no streamlit."""
