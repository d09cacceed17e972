"""Statistics, charts and the Streamlit app."""
