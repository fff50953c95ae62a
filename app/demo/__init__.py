"""The small study that ships: its prompts, its tuning set, and the build of its three checkpoints."""
