"""Results that other tools produced, brought into the landing zone."""
