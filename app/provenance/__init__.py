"""Where a phrase came from: a tuning set's index on disk, verbatim spans, nearest instances, borrowed tokens.

Pure: no web, no database, no torch. Start at `app.provenance.index` (build, open) and `app.provenance.trace` (search).
"""
