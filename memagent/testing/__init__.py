"""Doubles and contracts for code that uses or extends memagent; imported by tests only."""
