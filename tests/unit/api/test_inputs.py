"""The description of the service: what is built from it, what its answers mean, and that it agrees with the facts."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_server import INDEX, RECEIPT, STATE, VALUES

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.request import Request, address_of
from sparkfly_nb.api.response import (
    Verdict,
    api_error,
    judge,
    outcome_unknown,
    read_index,
    read_json,
    read_receipt,
    read_records,
    read_refusal,
)
from sparkfly_nb.errors import ApiError, InvalidInput, NotFound, ServerError, SparkflyError, UnreadableAnswer

BASE = "https://api.sparkfly.com/v1.0"

FACTS = """
issue_offer POST /members/offer_states/issue 201
issue_offer_state POST /members/{member_id}/offer_states 200
create_offer_state POST /members/offer_states 201
get_offer_state GET /members/{member_id}/offer_states/{offerstate_id} 200
get_offer_state_by_offer GET /members/{member_id}/offers/{offer_id} 200
list_offer_states GET /members/{member_id}/offer_states 200
query_offer_states GET /members/offer_states 200
update_offer_state PUT /members/{member_id}/offer_states/{offerstate_id} 200
redeem_offer_state POST /members/{member_id}/offer_states/{offerstate_id} 200
void_offer_state POST /members/{member_id}/offer_states/{offerstate_id}/void 200
void_offer_state_by_identifier POST /members/offer_states/{offerstate_id}/void 200
"""
"""The published table of operations."""


def test_the_operations_are_the_published_ones():
    described = [f"{each.name} {each.method} {each.path} {each.success}" for each in ENDPOINTS.values()]

    assert described == FACTS.split("\n")[1:-1]


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_every_part_of_an_address_is_a_required_field_and_no_name_comes_twice(endpoint):
    names = [field.name for field in endpoint.fields]
    in_path = {field.name for field in endpoint.fields if field.place == "path"}

    assert set(re.findall(r"{(\w+)}", endpoint.path)) == in_path
    assert all(field.required for field in endpoint.fields if field.place == "path")
    assert len(names) == len(set(names))
    assert set(endpoint.one_of) <= set(names)


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_only_what_changes_nothing_is_a_get(endpoint):
    assert (endpoint.method == "GET") == (endpoint.effect == "read")


# ---- building --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_a_body_is_wrapped_and_only_where_the_operation_has_one(name):
    endpoint = ENDPOINTS[name]
    request, sent = build(endpoint, VALUES[name])

    in_body = {
        field.name: sent[field.name] for field in endpoint.fields if field.place == "body" and field.name in sent
    }
    assert (orjson.loads(request.body) if request.body else None) == (
        {"offer_state": in_body} if endpoint.has_body else None
    )


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_missing_values_are_not_sent(missing):
    request, sent = build(ENDPOINTS["issue_offer"], {**VALUES["issue_offer"], "expires_at": missing})

    assert "expires_at" not in sent
    assert b"expires_at" not in request.body


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_what_is_required_is_asked_for(name):
    for field in ENDPOINTS[name].fields:
        if field.required:
            with pytest.raises(InvalidInput, match=f"{name}: {field.name} is missing"):
                build(ENDPOINTS[name], {**VALUES[name], field.name: None})


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("issue_offer", {"campaign_id": "C"}, "exactly one of member_id, member_identifier"),
        ("issue_offer", {"campaign_id": "C", "member_id": 1, "member_identifier": "m"}, "exclude each other"),
        ("query_offer_states", {}, "exactly one of"),
        ("query_offer_states", {"member_id": 1}, "exactly one of"),
        ("query_offer_states", {"token": "a", "external_ref_id": "b"}, "exclude each other"),
        ("query_offer_states", {"eligible_channel_id": 1}, "needs member_id"),
        ("get_offer_state", {"member_id": 1.5, "offerstate_id": 7}, "member_id: 1.5 is not a whole number"),
        ("get_offer_state", {"member_id": True, "offerstate_id": 7}, "flag"),
        ("update_offer_state", {"member_id": 1, "offerstate_id": 7, "locked": 1}, "locked: 1 is not a flag"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_name_of_the_value(name, values, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        build(ENDPOINTS[name], values)


@pytest.mark.parametrize(
    ("activates_at", "expires_at", "is_good"),
    [
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z", True),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000000001Z", True),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", False),
        ("2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00Z", False),
        ("2027-01-01T00:00:00-05:00", "2027-01-01T01:00:00Z", False),
    ],
)
def test_nothing_expires_before_it_begins(activates_at, expires_at, is_good):
    values = {**VALUES["issue_offer"], "activates_at": activates_at, "expires_at": expires_at}

    if is_good:
        build(ENDPOINTS["issue_offer"], values)
    else:
        with pytest.raises(InvalidInput, match="later than activates_at"):
            build(ENDPOINTS["issue_offer"], values)


IDS = st.text(max_size=30) | st.integers() | st.floats()


@pytest.mark.parametrize("name", list(ENDPOINTS))
@given(ids=st.fixed_dictionaries({}, optional={"member_id": IDS, "offerstate_id": IDS, "offer_id": IDS}))
def test_no_id_ever_leaves_the_template_of_its_address(name, ids):
    endpoint = ENDPOINTS[name]
    try:
        request, sent = build(endpoint, {**VALUES[name], **ids})
    except InvalidInput:
        return

    parts = urlsplit(address_of(BASE, request))
    template = re.sub(r"\\{\w+\\}", "([^/]+)", re.escape("/v1.0" + endpoint.path))
    found = re.fullmatch(template, parts.path)
    in_path = [field.name for field in endpoint.fields if field.place == "path"]
    by_order = sorted(in_path, key=lambda each: endpoint.path.index(f"{{{each}}}"))
    assert [unquote(part) for part in found.groups()] == [str(sent[each]) for each in by_order]
    assert not set(found.groups()) & {".", ".."}
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.sparkfly.com", "")
    assert dict(parse_qsl(parts.query, keep_blank_values=True, errors="strict")) == {
        field.name: str(sent[field.name]) for field in endpoint.fields if field.place == "query" and field.name in sent
    }


# ---- judging ---------------------------------------------------------------------------------------------------------

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
def test_what_a_status_means_depends_on_what_a_request_may_have_done(statuses, has_retry_after, read, change, void):
    for status in statuses:
        verdicts = [judge(each, status, has_retry_after=has_retry_after) for each in (READ, CHANGE, VOID)]
        assert verdicts == [read, change, void]


@given(status=st.integers(100, 999), has_retry_after=st.booleans())
@pytest.mark.parametrize("endpoint", [CHANGE, VOID], ids=["change", "void"])
def test_only_a_client_error_proves_that_nothing_happened_and_never_will(endpoint, status, has_retry_after):
    if judge(endpoint, status, has_retry_after=has_retry_after) is Verdict.REFUSED:
        assert 400 <= status < 500


@given(status=st.integers(100, 999), has_retry_after=st.booleans())
def test_a_change_is_sent_again_only_after_what_proves_that_nothing_happened(status, has_retry_after):
    verdict = judge(CHANGE, status, has_retry_after=has_retry_after)

    assert verdict is not Verdict.RESEND
    if verdict in {Verdict.SLOW_DOWN, Verdict.UNAUTHENTICATED}:
        assert status in (401, 429) or (status == 503 and has_retry_after)


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parsed", "count"),
    [(STATE, 1), ({"offer_state": STATE}, 1), ({"offer_state": STATE, "errors": {}}, 1), (INDEX, 1),
     ([STATE, STATE], 2), ([{"offer_state": STATE}, STATE], 2), ({"offer_states": []}, 0), ([], 0)],
)  # fmt: skip
def test_offer_states_are_found_in_every_shape(parsed, count):
    assert read_records(parsed) == [STATE] * count


@pytest.mark.parametrize(
    "parsed",
    [None, 1, "x", True, {}, {"errors": {"base": ["no"]}}, {"error": "no"}, {"offer_state": None}, {"offer_state": []},
     {"offer_states": None}, {"offer_states": {}}, [None], [[STATE]], {"offer_states": [STATE, "x"]}],
)  # fmt: skip
def test_what_is_no_offer_state_is_not_read_as_one(parsed):
    with pytest.raises(UnreadableAnswer):
        read_records(parsed)


def test_a_receipt_tells_the_id_by_its_own_name():
    assert read_receipt({"offer_state": RECEIPT})["offer_state_id"] == 7
    assert "id" not in read_receipt({"offer_state": RECEIPT})
    assert read_receipt({"offer_state": STATE}) == STATE


def test_a_receipt_with_errors_next_to_it_proves_nothing():
    with pytest.raises(UnreadableAnswer, match="cannot be redeemed"):
        read_receipt({"offer_state": STATE, "errors": {"base": ["cannot be redeemed"]}})


@pytest.mark.parametrize("key", [None, True, "", "x", 1.5, [], -1, "7x", "٣", "²"])
def test_a_receipt_without_a_usable_id_proves_nothing(key):
    with pytest.raises(UnreadableAnswer):
        read_receipt({"offer_state": {**RECEIPT, "id": key}})


@pytest.mark.parametrize("parsed", [[], [RECEIPT, RECEIPT], {"offer_states": []}])
def test_a_receipt_for_none_or_many_proves_nothing(parsed):
    with pytest.raises(UnreadableAnswer, match="instead of one"):
        read_receipt(parsed)


def test_an_index_is_read_with_its_counts():
    page = read_index(INDEX)

    assert page == ([STATE], 1, 50, 1, 1)


@pytest.mark.parametrize("odd", [None, "120", True, 1.5, []])
def test_a_count_that_is_none_is_not_believed(odd):
    assert read_index({**INDEX, "total_entries": odd}).total_entries is None


def test_a_bare_list_is_a_page_that_says_nothing_about_itself():
    assert read_index([STATE]) == ([STATE], None, None, None, None)


@pytest.mark.parametrize("parsed", [{}, {"total_entries": 0}, {"error": "no"}, None, "x"])
def test_what_is_no_index_is_not_read_as_an_empty_one(parsed):
    with pytest.raises(UnreadableAnswer):
        read_index(parsed)


NAMES = st.sampled_from([*STATE, *INDEX, "id", "error", "errors", "offer_state", "trace"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(body=st.binary(max_size=40) | JSON.map(orjson.dumps))
def test_whatever_comes_is_read_or_unreadable_and_nothing_else(body):
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
def test_a_refusal_is_put_into_words_whatever_its_shape(body, reason, trace):
    assert read_refusal(404, body) == (reason, trace)


DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize("body", [b'{"error":' + DEEP + b"}", b'{"offer_state":{"id":null},"errors":' + DEEP + b"}"])
def test_what_is_nested_too_deeply_breaks_nothing(body):
    assert read_refusal(500, body)[0] == "a value that is nested too deeply to be shown"
    with pytest.raises(UnreadableAnswer):
        read_receipt(read_json(body))


def test_a_refusal_floods_no_message():
    reason, trace = read_refusal(500, orjson.dumps({"error": "x" * 100_000, "trace": "y" * 100_000}))

    assert (len(reason), len(trace)) == (1000, 200)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (418, ApiError), (500, ServerError), (503, ServerError), (302, ApiError)]
)
def test_a_refusal_becomes_the_error_of_its_status(status, kind):
    error = api_error(Request("GET", "/members/2", (), None), status, b"")

    assert type(error) is kind
    assert (error.method, error.path) == ("GET", "/members/2")


@pytest.mark.parametrize("name", [name for name, endpoint in ENDPOINTS.items() if endpoint.effect == "change"])
@given(reference=st.text(min_size=1, max_size=20))
def test_the_line_to_look_with_is_python_whatever_was_sent(name, reference):
    try:
        request, sent = build(ENDPOINTS[name], {**VALUES[name], "external_ref_id": reference})
    except SparkflyError:
        return

    error = outcome_unknown(ENDPOINTS[name], request, sent, "the answer was lost")

    compile(error.readback, "pasted", "eval")
    assert error.readback.startswith("session.")


@given(reference=st.text(min_size=1, max_size=20))
@example(reference="`a` 'b' \"c\" @d #e \\f {g} %h")
@example(reference="@local")
@example(reference="`")
def test_the_line_to_look_with_finds_the_reference(reference):
    try:
        request, sent = build(ENDPOINTS["issue_offer"], {**VALUES["issue_offer"], "external_ref_id": reference})
    except SparkflyError:
        return
    readback = outcome_unknown(ENDPOINTS["issue_offer"], request, sent, "lost").readback
    states = pd.DataFrame({"external_ref_id": [reference, "another one"]}, dtype="string")

    class session:  # noqa: N801 - the name in the line
        @staticmethod
        def list_offer_states(_member_id):
            return states

    assert eval(readback).external_ref_id.tolist() == [reference]


def test_a_token_that_was_given_is_not_repeated():
    request, sent = build(ENDPOINTS["create_offer_state"], {"token": "osid-5ecret"})

    assert "5ecret" not in str(outcome_unknown(ENDPOINTS["create_offer_state"], request, sent, "lost"))
