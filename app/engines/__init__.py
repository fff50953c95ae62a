"""What runs checkpoints: the protocol, the registry, tokenizers, and the local and vLLM engines behind them."""
