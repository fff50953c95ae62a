"""Explore: one prompt, several checkpoints, streamed side by side and stored."""
