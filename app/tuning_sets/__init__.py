"""The instruction data that checkpoints were tuned on: read, imported, browsed, attached."""
