"""``memagent demo``: stores the bundled histories, compares retrievers on their questions, and writes a report."""
