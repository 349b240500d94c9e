"""The error tree: the docstring draws it correctly, and every error can be pickled."""

from __future__ import annotations

import copy
import pickle
import re

import pandas as pd
import pytest

from sparkfly_nb import errors
from sparkfly_nb.errors import API_ERRORS, ApiError, DataWarning, SparkflyError

WHERE = {"trace": "7b633ad0", "method": "GET", "path": "/members/2"}
#: How to create the errors that need more than a message.
SPECIAL = {
    "InvalidRows": lambda kind: kind("2 rows rejected", pd.DataFrame({"row": [1, 2]})),
    "OutcomeUnknown": lambda kind: kind(
        "no response", method="POST", path="/x", status=None, readback="session.get_offer_state(2, 7)"
    ),
    "PlanChanged": lambda kind: kind("other rows", pd.DataFrame({"position": [1]})),
    "ConfirmationRequired": lambda kind: kind("give confirm=7", 7),
    "RunHalted": lambda kind: kind("mostly fails", pd.DataFrame({"outcome": ["planned"]})),
}


def all_of(kind):
    return [kind, *(each for child in kind.__subclasses__() for each in all_of(child))]


TREE = [kind for kind in all_of(SparkflyError) if kind.__module__ == errors.__name__]


def made(kind):
    if issubclass(kind, ApiError):
        return kind(404, "not found", **WHERE)
    return SPECIAL.get(kind.__name__, lambda kind: kind("what happened and what to do"))(kind)


def shown(error):
    return {name: str(value) for name, value in vars(error).items()}


@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", TREE)
def test_errors_can_be_pickled_and_copied(kind, carry):
    error = made(kind)

    carried = carry(error)

    assert type(carried) is kind
    assert (str(carried), repr(carried), shown(carried)) == (str(error), repr(error), shown(error))


def drawn():
    """Return each class in the tree of the module docstring with its parent."""
    parents, stack = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)", line)
        if found and found[2] in {kind.__name__ for kind in TREE}:
            depth = len(found[1]) // 4
            stack[depth:] = [found[2]]
            parents[found[2]] = stack[depth - 1] if depth else None
    return parents


def test_docstring_tree_matches_the_classes():
    assert drawn() == {kind.__name__: None if kind is SparkflyError else kind.__bases__[0].__name__ for kind in TREE}


def test_all_errors_are_exported():
    assert set(errors.__all__) == {kind.__name__ for kind in TREE} | {DataWarning.__name__}


def test_input_errors_are_value_errors():
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.ConfigurationError, ValueError)


def test_api_error_message_starts_with_the_trace_id():
    assert str(made(errors.NotFound)) == "[trace 7b633ad0] 404 on GET /members/2: not found"
    assert str(ApiError(400, "no", trace=None, method="GET", path="/x")) == "400 on GET /x: no"


def test_documented_statuses_have_their_own_error_classes():
    assert set(API_ERRORS) == {401, 403, 404, 422, 429}
    assert len(set(API_ERRORS.values())) == 5


def test_outcome_unknown_message_ends_with_code_to_paste():
    error = made(errors.OutcomeUnknown)

    assert str(error).endswith("\n    session.get_offer_state(2, 7)")
    assert "Before you send the request again" in str(error)
