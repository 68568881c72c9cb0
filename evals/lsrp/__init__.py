"""Evaluation of LSRP: the data, every style and baseline once over a test set, and the choosers looked up in it."""
