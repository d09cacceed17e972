"""The pages: each lays out and delegates."""
