"""Puts the folder of this file on the import path, for the helpers beside it; settings of property tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long one example takes on a busy machine says nothing about the code.
settings.register_profile("memagent", deadline=None, print_blob=True)
settings.load_profile("memagent")
