"""Statistics on plain numbers: pure, numpy alone."""
