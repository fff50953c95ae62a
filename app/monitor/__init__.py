"""Watching a study while it runs, and the rules that take judgments out of its results. For researchers alone."""
