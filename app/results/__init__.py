"""Results: exports of what was judged."""
