"""Share: what a page of tokens shows, as files that outlive the server: JSON, CSV, and one HTML page."""
