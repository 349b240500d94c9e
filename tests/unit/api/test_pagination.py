"""A listing is complete or raises an error. It never returns a part of the entries."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.api.endpoints import PAGE_ROWS
from sparkfly_nb.api.pagination import RESTARTS, Listing
from sparkfly_nb.api.response import ListingPage
from sparkfly_nb.errors import IncompleteListing, UnreadableAnswer


def page_of(ids, *, total=None, per_page=None, page=None):
    return ListingPage([{"offer_state_id": i} for i in ids], page, per_page, total, None)


def read_all(listing, serve, limit=1000):
    """Drive a listing the way both senders do. `serve` returns the page for a query."""
    kept = []
    for _ in range(limit):
        query = listing.next_query()
        if query is None:
            return [record["offer_state_id"] for record in kept]
        records, restarted = listing.take(serve(query))
        if restarted:
            kept.clear()
        kept += records
    raise AssertionError("the listing does not end")


def server_of(ids, *, cap=50, counts=True, echo_cap=True):
    def serve(query):
        size = min(cap, query["per_page"])
        start = (query["page"] - 1) * size
        return page_of(
            ids[start : start + size],
            total=len(ids) if counts else None,
            per_page=(size if echo_cap else query["per_page"]) if counts else None,
            page=query["page"],
        )

    return serve


def test_listing_rejects_entries_nested_too_deeply_to_compare():
    nested: list = []
    for _ in range(1000):
        nested = [nested]

    with pytest.raises(UnreadableAnswer, match="told apart"):
        Listing("x").take(ListingPage([{"offer_state_id": None, "custom_data": nested}], 1, 50, 1, 1))


def test_first_query_requests_the_largest_page():
    assert Listing("x").next_query() == {"page": 1, "per_page": PAGE_ROWS}


def test_listing_ends_after_one_complete_page():
    assert read_all(Listing("x"), server_of([7, 8, 9], cap=5000)) == [7, 8, 9]


def test_an_empty_listing_is_complete():
    assert read_all(Listing("x"), server_of([])) == []


@given(
    count=st.integers(0, 60),
    cap=st.integers(1, 25),
    counts=st.booleans(),
    echo_cap=st.booleans(),
)
def test_entries_arrive_once_and_in_order_for_every_page_size(count, cap, counts, echo_cap):
    ids = list(range(1, count + 1))

    assert read_all(Listing("x"), server_of(ids, cap=cap, counts=counts, echo_cap=echo_cap)) == ids


def test_listing_adopts_the_page_size_of_the_service():
    listing = Listing("x")
    listing.take(page_of(range(50), total=120, per_page=50))

    assert listing.next_query() == {"page": 2, "per_page": 50}


def test_listing_fails_if_the_service_ignores_page():
    with pytest.raises(IncompleteListing, match="page 2 repeats"):
        read_all(Listing("x"), lambda _query: page_of(range(50), total=120, per_page=50))


def test_listing_fails_if_the_service_ignores_page_and_sends_no_counts():
    with pytest.raises(IncompleteListing, match="page 2 repeats"):
        read_all(Listing("x"), lambda _query: page_of(range(20)))


def test_same_id_as_number_and_as_text_counts_as_repeated():
    pages = {1: page_of([7, 8]), 2: page_of(["7", "8"])}

    with pytest.raises(IncompleteListing, match="repeats"):
        read_all(Listing("x"), lambda query: pages[query["page"]])


def test_repeated_entries_without_an_id_end_the_listing():
    with pytest.raises(IncompleteListing, match="repeats"):
        read_all(Listing("x"), lambda _query: ListingPage([{"status": "incomplete"}], None, None, None, None))


def test_listing_rejects_an_id_that_repeats_on_a_page():
    with pytest.raises(IncompleteListing, match="page 1 repeats"):
        read_all(Listing("x"), lambda _query: page_of([7, 7], total=2))


def test_listing_rejects_an_empty_page_before_the_total():
    pages = {1: page_of(range(50), total=120, per_page=50), 2: page_of([], total=120, per_page=50)}

    with pytest.raises(IncompleteListing, match="page 2 is empty after 50 of 120"):
        read_all(Listing("x"), lambda query: pages[query["page"]])


def test_listing_rejects_more_entries_than_the_total():
    with pytest.raises(IncompleteListing, match="3 entries arrived, more than the 2"):
        read_all(Listing("x"), lambda _query: page_of([1, 2, 3], total=2))


def test_listing_rejects_a_negative_total():
    with pytest.raises(IncompleteListing):
        read_all(Listing("x"), lambda _query: page_of([], total=-1))


def test_listing_continues_after_a_short_page():
    pages = {1: page_of(range(30), total=60, per_page=50), 2: page_of(range(50, 80), total=60, per_page=50)}

    assert read_all(Listing("x"), lambda query: pages[query["page"]]) == [*range(30), *range(50, 80)]


def growing_server(times):
    """Serve a listing that gains an entry at its front before each of the first `times` second pages."""
    ids = list(range(100))
    added = []

    def serve(query):
        if query["page"] == 2 and len(added) < times:
            added.append(1000 + len(added))
            ids.insert(0, added[-1])
        return server_of(ids)(query)

    return serve, ids


def test_listing_restarts_if_the_total_changes():
    serve, ids = growing_server(RESTARTS)

    assert read_all(Listing("x"), serve) == ids


def test_listing_fails_if_the_total_keeps_changing():
    serve, _ids = growing_server(RESTARTS + 1)

    with pytest.raises(IncompleteListing, match="counts changed"):
        read_all(Listing("x"), serve)


def test_listing_restarts_if_entries_move_between_pages():
    first = {1: page_of(range(50), total=100, per_page=50), 2: page_of(range(49, 99), total=100, per_page=50)}
    then = server_of(list(range(100)))
    calls = []

    def serve(query):
        calls.append(query)
        return first[query["page"]] if len(calls) <= 2 else then(query)

    assert read_all(Listing("x"), serve) == list(range(100))


def test_listing_restarts_if_the_page_size_changes():
    listing = Listing("x")
    listing.take(page_of(range(50), total=120, per_page=50))

    assert listing.take(page_of(range(50, 70), total=120, per_page=20)) == ([], True)


def test_restart_drops_earlier_entries_and_begins_at_page_one():
    listing = Listing("x")
    listing.take(page_of(range(50), total=120, per_page=50))

    assert listing.take(page_of(range(50, 100), total=121, per_page=50)) == ([], True)
    assert listing.next_query() == {"page": 1, "per_page": PAGE_ROWS}


ANY_PAGE = st.builds(
    page_of,
    st.lists(st.integers(0, 9), max_size=4, unique=True),
    total=st.none() | st.integers(0, 6),
    per_page=st.none() | st.integers(-1, 4),
)


@given(st.lists(ANY_PAGE, min_size=1, max_size=9))
def test_finished_listing_has_each_entry_once_and_matches_the_total(pages):
    listing, kept, counted = Listing("x"), [], set()

    try:
        for page in pages:
            records, restarted = listing.take(page)
            if restarted:
                kept, counted = [], set()
            else:
                kept += [record["offer_state_id"] for record in records]
                counted |= {page.total_entries} - {None}
            if listing.next_query() is None:
                break
    except IncompleteListing:
        return

    assert len(kept) == len(set(kept))
    assert listing.next_query() is not None or counted in (set(), {len(kept)})


def test_incomplete_listing_names_its_subject_and_pickles():
    with pytest.raises(IncompleteListing) as caught:
        read_all(Listing("the offer states of member 1009"), lambda _query: page_of([1, 2, 3], total=2))

    assert str(pickle.loads(pickle.dumps(caught.value))).startswith("the offer states of member 1009 could not be")
