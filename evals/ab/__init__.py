"""``memagent eval ab``: an A/B test with simulated users, from a file."""
