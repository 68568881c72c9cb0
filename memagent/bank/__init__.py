"""One user's memory, opened: what a retriever sees."""
