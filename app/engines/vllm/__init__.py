"""The engine for checkpoints behind vLLM servers: token ids over HTTP both ways, vLLM itself never imported."""
