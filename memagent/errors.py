"""The error tree.

    MemagentError
    ├── InvalidInput (ValueError)        what was passed cannot be used
    │   ├── InvalidUserId                empty, not a string, or holding lone surrogates
    │   ├── InvalidMessage               no role, no content, too large
    │   ├── InvalidTime                  a naive or unreadable time
    │   ├── InvalidFilter                an unknown operator or a malformed filter
    │   ├── InvalidVector                wrong shape, wrong dtype, NaN
    │   ├── DuplicateId                  the same id twice
    │   └── UnknownName                  a granularity, retriever or option that does not exist
    ├── NotFound (LookupError)
    │   ├── UnknownUser                  nothing is stored for this user
    │   │   └── ErasureFinished          ... any more: an erasure that was cut off has just been finished
    │   ├── UnknownMemory                no memory has this id
    │   └── UserForgotten                the user was erased while this handle was open
    ├── StoreError
    │   ├── StoreBusy                    another process held the file for too long (retryable)
    │   ├── StoreFull                    no space left on the device (retryable)
    │   ├── StoreReadOnly                the directory or file cannot be written
    │   ├── StoreUnavailable             the operating system refused an operation (retryable)
    │   ├── StoreCorrupt                 the file is damaged
    │   ├── StoreVersion                 the file was written by a newer memagent
    │   └── EncoderMismatch              the file's vectors come from another encoder
    ├── EncoderError                     a model is missing, damaged or gave unusable vectors
    ├── ModelError                       a language model gave no usable answer
    │   ├── ModelUnavailable             no connection, too many requests, or the server failed (retryable)
    │   ├── ModelTimeout                 no answer within the time allowed (retryable)
    │   ├── ModelRefused                 the server, or the model, does not serve this request
    │   │   └── ModelDenied              ... nor any other: a wrong key or name, or no money left
    │   ├── MalformedReply               what came is not the answer asked for, after a second try too
    │   ├── BudgetExceeded               the run's calls, tokens or money are spent; nothing was sent
    │   └── ServerFailed                 a model server that was to be started did not come up
    ├── SearchFailed                     a search outside of memagent gave no usable answer
    │   └── SearchUnavailable            ... because it cannot be reached, or its server failed (retryable)
    ├── ArmFailed                        a recommender under test raised instead of recommending
    ├── DataError (ValueError)           an evaluation or import file has the wrong schema
    ├── MissingExtra (ImportError)       an optional package is not installed
    └── Stopped                          long work was stopped; run the same command to resume

Every class says whether repeating the same call can succeed (``retryable``), and every message says
what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class MemagentError(Exception):
    """Root of all errors raised by memagent on purpose.

    ``hint`` is one sentence on what to do; it is part of ``str(error)``.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidInput(MemagentError, ValueError):
    """An argument cannot be used; nothing was changed."""


class InvalidUserId(InvalidInput):
    """A user id is empty, not a string, or not encodable as UTF-8."""


class InvalidMessage(InvalidInput):
    """A message has no role, no usable content, or too much of it."""


class InvalidTime(InvalidInput):
    """A time is naive (has no zone) or cannot be read."""


class InvalidFilter(InvalidInput):
    """A filter has an unknown operator or the wrong shape."""


class InvalidVector(InvalidInput):
    """A vector has the wrong width or dtype, is not finite, or is not of unit length."""


class DuplicateId(InvalidInput):
    """The same id was given twice, or exists already."""


class UnknownName(InvalidInput):
    """A granularity, retriever, option or parameter that does not exist; the message lists the valid ones."""


class NotFound(MemagentError, LookupError):
    """Something that was asked for by name does not exist."""


class UnknownUser(NotFound):
    """Nothing is stored for this user."""


class ErasureFinished(UnknownUser):
    """Nothing is stored for this user any more: the call has found an erasure that was cut off, and finished it."""


class UnknownMemory(NotFound):
    """No memory has this id."""


class UserForgotten(NotFound):
    """The user was erased while this handle was open; the call changed nothing."""


class StoreError(MemagentError):
    """Reading or writing the store failed; what was acknowledged before is unharmed."""


class StoreBusy(StoreError):
    """Another process or thread held the user's file for longer than the wait time."""

    retryable = True


class StoreFull(StoreError):
    """No space is left on the device."""

    retryable = True


class StoreReadOnly(StoreError):
    """The store's directory or file cannot be written."""


class StoreUnavailable(StoreError):
    """The operating system refused a file operation."""

    retryable = True


class StoreCorrupt(StoreError):
    """A file is damaged. It is never opened as if it were empty."""


class StoreVersion(StoreError):
    """A file was written by a newer version of memagent."""


class EncoderMismatch(StoreError):
    """The stored vectors come from another encoder than the one in use."""


class EncoderError(MemagentError):
    """An encoder is missing, damaged, or returned vectors that cannot be used."""


class ModelError(MemagentError):
    """A language model gave no usable answer."""


class ModelUnavailable(ModelError):
    """The model cannot be reached, is overloaded, or its server failed; repeated attempts changed nothing."""

    retryable = True


class ModelTimeout(ModelError):
    """The model did not answer within the time allowed."""

    retryable = True


class ModelRefused(ModelError):
    """The server or the model does not serve this request: too long a prompt, a content filter."""


class ModelDenied(ModelRefused):
    """The server serves none of our requests: a wrong key, a name that it does not know, nothing left to pay with."""


class MalformedReply(ModelError):
    """The model's reply is not the answer asked for.

    ``reason`` is one word or two that can be counted (``truncated``, ``no JSON``, ``wrong type`` ...), ``text`` the
    reply as it came.
    """

    def __init__(self, message: str, *, hint: str = "", reason: str = "", text: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.text = text


class BudgetExceeded(ModelError):
    """The budget of this run is spent; the call that would have exceeded it was not made."""


class ServerFailed(ModelError):
    """A model server that was to be started did not come up; the message shows the end of its log."""


class SearchFailed(MemagentError):
    """A search outside of memagent, such as a ``/retrieve`` endpoint, gave no usable answer."""


class SearchUnavailable(SearchFailed):
    """The search cannot be reached, did not answer in time, or its server failed; repeated attempts changed nothing."""

    retryable = True


class ArmFailed(MemagentError):
    """A recommender under test raised, or gave no list, for one user; the cause is chained to it."""


class DataError(MemagentError, ValueError):
    """A data file has the wrong schema; the message names file, record and field."""


class MissingExtra(MemagentError, ImportError):
    """An optional package is not installed; the hint names the extra."""


class Stopped(MemagentError):
    """Long work was stopped before its end; the same command resumes it."""

    retryable = True
