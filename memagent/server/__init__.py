"""Servers: memagent for other processes."""

from __future__ import annotations
