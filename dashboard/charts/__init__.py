"""Figures and the sentences that go with them: pure functions of fit results, no streamlit."""
