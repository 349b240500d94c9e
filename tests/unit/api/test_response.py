"""The meaning of each status for reads, changes and voids, and how response bodies are read."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import INDEX, RECEIPT, STATE

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.request import Request
from sparkfly_nb.api.response import (
    Verdict,
    api_error,
    judge,
    read_index,
    read_json,
    read_receipt,
    read_records,
    read_refusal,
)
from sparkfly_nb.errors import ApiError, NotFound, ServerError, UnreadableAnswer

# ---- judge -----------------------------------------------------------------------------------------------------------

READ, CHANGE, VOID = (ENDPOINTS[name] for name in ("get_offer_state", "issue_offer", "void_offer_state"))


@pytest.mark.parametrize(
    ("statuses", "has_retry_after", "read", "change", "void"),
    [
        ([200, 201], False, Verdict.DONE, Verdict.DONE, Verdict.DONE),
        ([204], False, Verdict.REFUSED, Verdict.UNKNOWN, Verdict.DONE),
        ([401], False, Verdict.UNAUTHENTICATED, Verdict.UNAUTHENTICATED, Verdict.UNAUTHENTICATED),
        ([429], False, Verdict.SLOW_DOWN, Verdict.SLOW_DOWN, Verdict.SLOW_DOWN),
        ([429, 503], True, Verdict.SLOW_DOWN, Verdict.SLOW_DOWN, Verdict.SLOW_DOWN),
        ([400, 403, 404, 409], False, Verdict.REFUSED, Verdict.REFUSED, Verdict.REFUSED),
        ([422], False, Verdict.REFUSED, Verdict.REFUSED, Verdict.ALREADY),
        ([408, 500, 502, 503, 504], False, Verdict.RESEND, Verdict.UNKNOWN, Verdict.RESEND),
        ([500, 502, 504], True, Verdict.RESEND, Verdict.UNKNOWN, Verdict.RESEND),
        ([202, 301, 302, 307, 501, 520, 524, 999], False, Verdict.REFUSED, Verdict.UNKNOWN, Verdict.RESEND),
    ],
)
def test_judge_depends_on_status_and_effect(statuses, has_retry_after, read, change, void):
    for status in statuses:
        verdicts = [judge(each, status, has_retry_after=has_retry_after) for each in (READ, CHANGE, VOID)]
        assert verdicts == [read, change, void]


@given(status=st.integers(100, 999), has_retry_after=st.booleans())
@pytest.mark.parametrize("endpoint", [CHANGE, VOID], ids=["change", "void"])
def test_judge_refuses_changes_and_voids_only_after_client_errors(endpoint, status, has_retry_after):
    if judge(endpoint, status, has_retry_after=has_retry_after) is Verdict.REFUSED:
        assert 400 <= status < 500


@given(status=st.integers(100, 999), has_retry_after=st.booleans())
def test_judge_resends_a_change_only_if_it_was_not_processed(status, has_retry_after):
    verdict = judge(CHANGE, status, has_retry_after=has_retry_after)

    assert verdict is not Verdict.RESEND
    if verdict in {Verdict.SLOW_DOWN, Verdict.UNAUTHENTICATED}:
        assert status in (401, 429) or (status == 503 and has_retry_after)


# ---- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parsed", "count"),
    [(STATE, 1), ({"offer_state": STATE}, 1), ({"offer_state": STATE, "errors": {}}, 1), (INDEX, 1),
     ([STATE, STATE], 2), ([{"offer_state": STATE}, STATE], 2), ({"offer_states": []}, 0), ([], 0)],
)  # fmt: skip
def test_read_records_finds_offer_states_in_every_shape(parsed, count):
    assert read_records(parsed) == [STATE] * count


@pytest.mark.parametrize(
    "parsed",
    [None, 1, "x", True, {}, {"errors": {"base": ["no"]}}, {"error": "no"}, {"offer_state": None}, {"offer_state": []},
     {"offer_states": None}, {"offer_states": {}}, [None], [[STATE]], {"offer_states": [STATE, "x"]}],
)  # fmt: skip
def test_read_records_rejects_everything_but_offer_states(parsed):
    with pytest.raises(UnreadableAnswer):
        read_records(parsed)


def test_read_receipt_renames_id_to_offer_state_id():
    assert read_receipt({"offer_state": RECEIPT})["offer_state_id"] == 7
    assert "id" not in read_receipt({"offer_state": RECEIPT})
    assert read_receipt({"offer_state": STATE}) == STATE


def test_read_receipt_rejects_errors_beside_the_record():
    with pytest.raises(UnreadableAnswer, match="cannot be redeemed"):
        read_receipt({"offer_state": STATE, "errors": {"base": ["cannot be redeemed"]}})


@pytest.mark.parametrize("key", [None, True, "", "x", 1.5, [], -1, "7x", "٣", "²"])
def test_read_receipt_rejects_invalid_ids(key):
    with pytest.raises(UnreadableAnswer):
        read_receipt({"offer_state": {**RECEIPT, "id": key}})


@pytest.mark.parametrize("parsed", [[], [RECEIPT, RECEIPT], {"offer_states": []}])
def test_read_receipt_requires_exactly_one_record(parsed):
    with pytest.raises(UnreadableAnswer, match="instead of one"):
        read_receipt(parsed)


def test_read_index_returns_records_and_counts():
    page = read_index(INDEX)

    assert page == ([STATE], 1, 50, 1, 1)


@pytest.mark.parametrize("invalid", [None, "120", True, 1.5, []])
def test_read_index_ignores_counts_that_are_not_integers(invalid):
    assert read_index({**INDEX, "total_entries": invalid}).total_entries is None


def test_read_index_reads_a_bare_list_as_a_page_without_counts():
    assert read_index([STATE]) == ([STATE], None, None, None, None)


@pytest.mark.parametrize("parsed", [{}, {"total_entries": 0}, {"error": "no"}, None, "x"])
def test_read_index_rejects_everything_but_listings(parsed):
    with pytest.raises(UnreadableAnswer):
        read_index(parsed)


NAMES = st.sampled_from([*STATE, *INDEX, "id", "error", "errors", "offer_state", "trace"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(body=st.binary(max_size=40) | JSON.map(orjson.dumps))
def test_any_body_is_read_or_raises_unreadable_answer(body):
    for read in (read_records, read_receipt, read_index):
        try:
            read(read_json(body))
        except UnreadableAnswer:
            continue
    read_refusal(500, body)


@pytest.mark.parametrize(
    ("body", "reason", "trace"),
    [
        (b"", "not found", None),
        (b'{"error": "OfferState not found", "trace": "7b63"}', "OfferState not found", "7b63"),
        (b'{"errors": {"base": ["no"]}}', '{"base":["no"]}', None),
        (b'{"message": "no"}', "no", None),
        (b"<html>", "not found", None),
        (b"null", "not found", None),
        (b'{"error": null, "trace": 5}', "not found", None),
    ],
)
def test_read_refusal_returns_message_and_trace_in_every_shape(body, reason, trace):
    assert read_refusal(404, body) == (reason, trace)


DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize("body", [b'{"error":' + DEEP + b"}", b'{"offer_state":{"id":null},"errors":' + DEEP + b"}"])
def test_deeply_nested_errors_are_replaced_by_a_note(body):
    assert read_refusal(500, body)[0] == "a value that is nested too deeply to be shown"
    with pytest.raises(UnreadableAnswer):
        read_receipt(read_json(body))


def test_read_refusal_shortens_message_and_trace():
    reason, trace = read_refusal(500, orjson.dumps({"error": "x" * 100_000, "trace": "y" * 100_000}))

    assert (len(reason), len(trace)) == (1000, 200)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (418, ApiError), (500, ServerError), (503, ServerError), (302, ApiError)]
)
def test_api_error_has_the_class_for_its_status(status, kind):
    error = api_error(Request("GET", "/members/2", (), None), status, b"")

    assert type(error) is kind
    assert (error.method, error.path) == ("GET", "/members/2")
