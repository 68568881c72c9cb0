"""The intervals of evaluation results.

For questions that share a conversation the intervals are too narrow, so results give the mean of each conversation
beside them.
"""

from __future__ import annotations

from memagent.intervals import LEVEL, RESAMPLES, Interval, bootstrap, group_means, paired_difference

__all__ = ["LEVEL", "RESAMPLES", "Interval", "bootstrap", "group_means", "paired_difference"]
