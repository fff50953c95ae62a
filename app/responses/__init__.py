"""One stored response: read by any number of checkpoints, under any base prompt, or pasted in as text."""
