"""Puts the folder of this file on the import path, for the helpers beside it."""
