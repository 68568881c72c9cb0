"""Prompts as typed functions, each beside the schema of its answer; imported from the module that defines it."""
