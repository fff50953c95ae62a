"""What a study found, computed from the rows of its export and from nothing else.

Pure: the standard library, numpy, scipy and `app.stats`. An export carries these files, so that anyone can run them.
"""
