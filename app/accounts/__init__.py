"""People: signing in, invites, and who may reach which route."""
