"""Answers to questions from a user's memory: retrieve, filter if wanted, ask a model, check what it cites."""

from __future__ import annotations

from memagent.answering.answerer import Answerer
from memagent.answering.streaming import AnswerStream, AsyncAnswerStream
from memagent.answering.values import Answer, Evidence

__all__ = ["Answer", "AnswerStream", "Answerer", "AsyncAnswerStream", "Evidence"]
