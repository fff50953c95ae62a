"""Which answers travel compressed: pages, scripts, styles and JSON, never an event stream or an export.

Compressing what an attacker can steer next to a secret leaks the secret by its length (BREACH). No page here holds one
that helps: forged requests are told by their headers, not by a token in the page, and the session is a cookie.
"""

from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

# Exports leave in small pieces and go on for long; flushing a compressor after each costs more than it saves.
_EXPORTS = (
    "text/csv", "application/x-ndjson", "application/jsonl", "application/octet-stream", "application/zip",
    "application/vnd.apache.parquet",
)  # fmt: skip
_LEVEL = 5
_MINIMUM_BYTES = 1024


def compression() -> Middleware:
    """Return the middleware that compresses answers; outermost, so that everything within sees them plain."""
    return Middleware(
        GZipMiddleware,
        minimum_size=_MINIMUM_BYTES,
        compresslevel=_LEVEL,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, *_EXPORTS),
    )
