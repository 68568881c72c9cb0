"""Where histories are kept: the port, and SQLite behind it."""
