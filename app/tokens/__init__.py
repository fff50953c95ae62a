"""The tokens of a response as people see them: one shape, live or stored, for every page that shows a trace."""
