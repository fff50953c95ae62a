"""Statistics on plain numbers: pure, numpy and scipy alone."""
