"""Studies: items, arms, pairs, generation, invites."""
