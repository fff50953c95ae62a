"""The in-process engine: transformers models on one thread that owns torch. Importing this package loads no torch."""

from app.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
