from __future__ import annotations

import pickle

import pytest

from memagent import errors
from memagent.errors import MemagentError

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MemagentError)]
RETRYABLE = {
    "StoreBusy",
    "StoreFull",
    "StoreUnavailable",
    "ModelUnavailable",
    "ModelTimeout",
    "SearchUnavailable",
    "Stopped",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_what_happened_what_to_do_and_whether_to_retry(kind: type[MemagentError]) -> None:
    error = kind("it broke", hint="mend it")
    assert str(error) == "it broke (mend it)"
    assert (error.message, error.hint) == ("it broke", "mend it")
    assert str(kind("it broke")) == "it broke"
    assert error.retryable is (kind.__name__ in RETRYABLE)
    assert kind.__doc__


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_caught_as_the_root(kind: type[MemagentError]) -> None:
    with pytest.raises(MemagentError):
        raise kind("it broke")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidInput, ValueError),
        (errors.InvalidTime, ValueError),
        (errors.DataError, ValueError),
        (errors.NotFound, LookupError),
        (errors.UnknownMemory, LookupError),
        (errors.MissingExtra, ImportError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: type[MemagentError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


def test_the_tree_in_the_documentation_names_every_class() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.split("Every class says")[0]
    for kind in CLASSES:
        assert kind.__name__ in tree


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_between_processes(kind: type[MemagentError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("it broke", hint="mend it")))
    assert type(copy) is kind
    assert str(copy) == "it broke (mend it)"
