"""What one person, and one network address, may ask of the costly routes in a quarter of an hour. Lives on `app.state`.

Counted in memory: one process, the one with the models, answers all of these routes however many serve.
"""

from app.accounts.throttle import ClientThrottle

# For one person; an address, which many people may share, has so many times as much.
PER_PERSON = {"comparison": 300, "scoring": 300, "export": 60, "import": 120, "call": 3_000}
SHARED_BY = 4
_WORDS = {
    "comparison": "comparisons",
    "scoring": "requests to score",
    "export": "exports and downloads",
    "import": "files",
    "call": "calls by programs",
}
_COSTLY = {
    ("POST", "/compare"): "comparison",
    ("POST", "/responses/{response_id}/fork"): "comparison",
    ("POST", "/responses/{response_id}/readings"): "scoring",
    ("POST", "/responses"): "scoring",
    ("POST", "/studies/{study_id}/export"): "export",
    ("GET", "/studies/{study_id}/export/{table}"): "export",
    ("GET", "/studies/{study_id}/report.html"): "export",
    ("GET", "/audit.csv"): "export",
    ("GET", "/account/data"): "export",
    ("POST", "/studies/imports"): "import",
    ("POST", "/studies/judgments"): "import",
    ("POST", "/tuning-sets"): "import",
    ("POST", "/traces/files"): "import",
    ("POST", "/api/v1/compare"): "comparison",
    ("POST", "/api/v1/score"): "scoring",
    ("POST", "/api/v1/studies/{study_id}/exports"): "export",
    ("GET", "/api/v1/studies/{study_id}/tables/{table}"): "export",
    ("POST", "/api/v1/studies/{study_id}/prompts"): "import",
}


class Limits:
    """Counts costly requests by person and by network address."""

    def __init__(self, *, times: int = 1) -> None:
        """Allow `times` as much as usual."""
        self._by_person = {kind: _throttle(kind, times * limit) for kind, limit in PER_PERSON.items()}
        self._by_client = {kind: _throttle(kind, times * limit * SHARED_BY) for kind, limit in PER_PERSON.items()}

    def take(self, row: tuple[str, str], *, person: str, client: str) -> None:
        """Count a request of a route. Raises TooManyRequestsError, saying how long to wait, before any work is done."""
        for kind in kinds_of(row):
            for throttle, key in ((self._by_person[kind], person), (self._by_client[kind], client)):
                throttle.check(key)
                throttle.count(key)


def kinds_of(row: tuple[str, str]) -> tuple[str, ...]:
    """Name what a request of a route counts as; nothing for most pages."""
    calls = ("call",) if row[1].startswith("/api/v1/") else ()
    return (*calls, _COSTLY[row]) if row in _COSTLY else calls


def costly() -> frozenset[tuple[str, str]]:
    """List the routes that are counted by themselves."""
    return frozenset(_COSTLY)


def _throttle(kind: str, limit: int) -> ClientThrottle:
    return ClientThrottle(limit, f"Too many {_WORDS[kind]} in a quarter of an hour.", "ask for less at a time")
