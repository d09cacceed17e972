"""The demonstration's ladder of base models: committed weights and the commands that build them."""
