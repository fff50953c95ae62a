"""Start, watch and stop the vLLM servers that serve a registry's checkpoints."""
