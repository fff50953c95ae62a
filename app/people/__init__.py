"""The people of a study: who takes part, how they were let in, and what a researcher may do about it."""
