"""Prompts as typed functions. None is shipped yet: nothing in this version calls a language model."""
