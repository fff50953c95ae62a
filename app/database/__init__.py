"""What an operator does with the whole database, on SQLite and on PostgreSQL: back up, restore, examine, move."""
