"""Checkpoints: what the registry names and whether it can answer."""
