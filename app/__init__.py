"""Tuneshift: what tuning shifted, token by token, and what people think of it."""
