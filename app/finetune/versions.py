"""Versions of the code that makes checkpoints, importable without torch."""

# Raise it whenever the same GGUF would convert to other bytes.
CONVERTER = "1"
# Raise it whenever the same recipe on the same data would give other weights.
TRAINER = "1"
