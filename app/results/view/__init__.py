"""How findings read: sections of tables, figures and sentences, the same on the page and in the report. Pure."""
