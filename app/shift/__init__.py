"""What tuning shifted: pure numpy, no torch, no web, no database. Log-probabilities and KL in nats, ranks 1-based."""
