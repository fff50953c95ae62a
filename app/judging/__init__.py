"""Judge: what an annotator sees and answers. `blind` alone may join a presentation to its arm."""
