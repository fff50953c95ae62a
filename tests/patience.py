"""How long tests wait for what must come: for a machine that does much besides, for only a failure waits to the end."""

PATIENCE_S = 60
