"""What in a response may tell an annotator who wrote it: found by rules, decided by a researcher."""
