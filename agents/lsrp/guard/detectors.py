"""Further detectors: anything that finds private pieces of a text by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from memagent.agents.lsrp.ports import Finding, PrivateTask
from memagent.errors import MissingExtra


class Detector(Protocol):
    """Finds private pieces of a text; called with the task's text and all that is private."""

    def __call__(self, text: str, private: PrivateTask) -> Sequence[Finding]:
        """The findings, places in ``text`` as given; raises MemagentError where it cannot tell."""


class PresidioDetector:
    """Entities that Microsoft Presidio recognises, by its rules and a spaCy model (which must be installed as well).

    ``kinds`` translates Presidio's entity types to the guard's; others keep Presidio's name in lower case. Entities
    below ``threshold`` (0 to 1) are left out. Nothing is loaded before the first text.
    """

    def __init__(self, *, model: str = "en_core_web_sm", language: str = "en", threshold: float = 0.5) -> None:
        self._model = model
        self._language = language
        self._threshold = threshold
        self._engine: Any = None

    kinds: ClassVar[dict[str, str]] = {
        "PERSON": "name",
        "LOCATION": "place",
        "EMAIL_ADDRESS": "email",
        "PHONE_NUMBER": "phone",
    }

    def __call__(self, text: str, private: PrivateTask) -> list[Finding]:
        """What Presidio finds; raises :class:`MissingExtra` without the package or the model."""
        if self._engine is None:
            self._engine = self._loaded()
        found = self._engine.analyze(text=text, language=self._language, score_threshold=self._threshold)
        return [
            Finding(
                start=each.start,
                end=each.end,
                kind=self.kinds.get(each.entity_type, each.entity_type.lower()),
                found_by="presidio",
            )
            for each in found
        ]

    def _loaded(self) -> Any:
        try:
            import spacy.util
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import NlpEngineProvider
        except ImportError as error:
            raise MissingExtra(
                "the detector needs Presidio and spaCy", hint="pip install presidio-analyzer, or guard without it"
            ) from error
        if not spacy.util.is_package(self._model):
            # Presidio would download it, which a guard must not do in the middle of a request.
            raise MissingExtra(
                f"the spaCy model {self._model} is not installed", hint=f"python -m spacy download {self._model}"
            )
        models = [{"lang_code": self._language, "model_name": self._model}]
        provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
        return AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=[self._language])
