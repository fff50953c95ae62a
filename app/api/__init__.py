"""The interface for programs, at `/api/v1`: what pages do, by the same functions, as JSON with bearer tokens."""
