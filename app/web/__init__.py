"""What every page shares: templates, security headers, CSRF, error pages, server-sent events."""
