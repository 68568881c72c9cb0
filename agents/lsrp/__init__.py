"""LSRP: a leader in the cloud writes a guideline, a small model on the device writes the answer with private data."""
