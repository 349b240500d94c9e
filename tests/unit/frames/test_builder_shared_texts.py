"""Equal texts of a column share one object, across the pages of a listing."""

from __future__ import annotations

import orjson
import pytest

from sparkfly_nb.errors import DataWarning
from sparkfly_nb.frames import builder as builder_module
from sparkfly_nb.frames.builder import FrameBuilder, frame_of
from sparkfly_nb.schema import OFFER_STATE

STATE = {"offer_state_id": 7, "member_id": 2, "status": "incomplete"}


@pytest.mark.parametrize("column", ["external_ref_id", "new"])
def test_equal_texts_share_one_object(column):
    records = [orjson.loads(orjson.dumps({**STATE, column: "sxjbvnG"})) for _ in range(100)]
    records += [{**STATE, column: None}]

    assert len({id(text) for text in frame_of(records, where="test")[column].dropna()}) == 1


def fresh(different, times):
    """Return `times` copies of each of `different` texts, every copy a new object."""
    return [f"text {number}" for _ in range(times) for number in range(different)]


@pytest.fixture
def shared(monkeypatch):
    """A text cache for one column, with limits small enough to reach in a test."""
    monkeypatch.setattr(builder_module, "TRIAL_TEXTS", 4)
    monkeypatch.setattr(builder_module, "SHARED_TEXTS", 8)
    return builder_module._Shared()


@pytest.mark.parametrize(("different", "times"), [(3, 1), (5, 3), (7, 3)])
def test_repeated_texts_share_one_object_across_pages(shared, different, times):
    first = {text: text for text in reversed(shared.of([*fresh(different, times), None]))}

    for page in (fresh(1, 2), [*fresh(different, 1), None], fresh(different, 1)):
        found = shared.of(page)
        assert found == page
        assert all(text is first[text] for text in found)


def test_column_with_few_repeated_texts_is_not_deduplicated(shared):
    first = shared.of(fresh(5, 2))

    assert all(text is not first[at % 5] for at, text in enumerate(shared.of(fresh(5, 2))))
    page = fresh(5, 2)
    assert shared.of(page) is page


def test_text_cache_starts_over_when_full(shared):
    first = shared.of(fresh(9, 3))

    second = shared.of(fresh(5, 2))
    assert all(text is not first[at % 5] and text is second[at % 5] for at, text in enumerate(second))
    shared.of(fresh(5, 2))
    page = fresh(5, 2)
    assert shared.of(page) is page, "too few texts have repeated since the cache was emptied"


def test_page_of_known_texts_reuses_first_objects(shared):
    first = shared.of([*fresh(5, 2), None])

    found = shared.known([None, *fresh(5, 1)], 6)

    assert found.tolist() == [None, *first[:5]]
    assert all(text is seen for text, seen in zip(found[1:], first, strict=False))


def test_page_of_known_texts_counts_as_repeated_texts(shared):
    first = shared.of(fresh(5, 1))
    for _ in range(2):
        shared.known(fresh(5, 1), 5)

    found = shared.of([*fresh(5, 1), "new"])

    assert all(text is seen for text, seen in zip(found, first, strict=False))


def test_column_of_unique_texts_does_not_affect_other_columns(monkeypatch):
    monkeypatch.setattr(builder_module, "TRIAL_TEXTS", 4)
    monkeypatch.setattr(builder_module, "CHUNK_ROWS", 10)
    builder = FrameBuilder(OFFER_STATE, where="test")
    for number in range(50):
        other = {"external_ref_id": f"r-{number}", "credential_identifier": f"VK{number}"}
        builder.add([{**other, "status": "".join(["in", "complete"])}])

    assert len({id(text) for text in builder.frame()["status"]}) == 1


@pytest.mark.parametrize("other", ["new", 7, True, 1.5, ["a"], {"a": 1}])
def test_page_with_unknown_values_is_not_taken_from_cache(shared, other):
    shared.of(["7", "True", "a", None])

    assert shared.known(["a", other], 2) is None


def test_non_text_values_are_read_after_pages_of_known_texts(monkeypatch):
    monkeypatch.setattr(builder_module, "CHUNK_ROWS", 2)
    builder = FrameBuilder(OFFER_STATE, where="test")
    for page in (["a", None], ["a", "a"], ["a", 7], ["a", False]):
        builder.add([{"offer_state_id": 1, "status": status} for status in page])

    with pytest.warns(DataWarning, match="1 value of status could not be read"):
        frame = builder.frame()

    assert frame["status"].fillna("-").tolist() == ["a", "-", "a", "a", "a", "7", "a", "-"]
