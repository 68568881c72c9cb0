"""The privacy guard: what of a task's text may leave the device, and how the rest is put back."""

from __future__ import annotations

from memagent.agents.lsrp.guard.detectors import Detector, PresidioDetector
from memagent.agents.lsrp.guard.guard import Policy, ProfileGuard
from memagent.agents.lsrp.guard.meaning import MeaningDetector
from memagent.agents.lsrp.guard.placeholders import left_over
from memagent.agents.lsrp.guard.public import public_words

__all__ = ["Detector", "MeaningDetector", "Policy", "PresidioDetector", "ProfileGuard", "left_over", "public_words"]
