"""Listing the offer states of many members."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bulk_world import tiny_service
from scripted_server import ScriptedResponse

from sparkfly_nb.bulk import listing
from sparkfly_nb.errors import IncompleteListing, InvalidInput
from sparkfly_nb.schema import OFFER_STATE


def test_list_returns_all_offer_states_of_all_members(world, session):
    ids = world.member_ids[:120]
    listed = session.list_many(ids, progress=False)
    there = [state for state in world.service.truth()["offer_states"] if state["member_id"] in set(ids)]
    assert sorted(listed.offer_state_id) == sorted(state["offer_state_id"] for state in there)
    assert {name: str(dtype) for name, dtype in listed.dtypes.items() if name in OFFER_STATE} == OFFER_STATE


def test_list_fails_if_one_member_cannot_be_read(world, session):
    with pytest.raises(IncompleteListing, match=r"1 of 4 members could not be read.*member 1: Member not found"):
        session.list_many([*world.member_ids[:3], 1], progress=False)


def test_list_collects_members_that_cannot_be_read(world, session):
    listed = session.list_many([*world.member_ids[:3], 1], errors="collect", progress=False)
    assert set(listed.member_id) <= set(world.member_ids[:3])
    (unread,) = listed.attrs["unread"]
    assert (unread["member_id"], unread["http_status"]) == (1, 404)
    assert "Member not found" in unread["reason"]


def test_list_is_complete_under_faults(world, session):
    ids = world.member_ids[:100]
    expected = session.list_many(ids, progress=False)
    names = ("drop_before", "error_500_before", "status_429_bare", "token_revoked", "half_body", "commit_then_503")
    world.service.set_faults({f"list_offer_states:{name}": 0.05 for name in names})
    listed = session.list_many(ids, progress=False)
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        listed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_list_joins_blocks_of_members_into_one_frame(world, session, monkeypatch):
    ids = [*world.member_ids[:120], 1]
    at_once = session.list_many(ids, errors="collect", progress=False)
    monkeypatch.setattr(listing, "BLOCK_MEMBERS", 50)
    block_by_block = session.list_many(ids, errors="collect", progress=False)
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        block_by_block.sort_values(keys, ignore_index=True), at_once.sort_values(keys, ignore_index=True)
    )
    assert block_by_block.attrs["unread"] == at_once.attrs["unread"]
    with pytest.raises(IncompleteListing, match="1 of 121 members"):
        session.list_many(ids, progress=False)


def test_list_reads_members_of_a_dead_worker_again(world, session, monkeypatch):
    ids = world.member_ids[:30]
    expected = session.list_many(ids, progress=False)
    works, deaths = listing.list_members, [RuntimeError("the worker was killed")]

    def dies_once(job):
        if deaths:
            raise deaths.pop()
        return works(job)

    monkeypatch.setattr(listing, "list_members", dies_once)
    listed = session.list_many(ids, progress=False)
    assert not deaths
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        listed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_list_without_valid_token_reports_every_member(tmp_path):
    with tiny_service(tmp_path / "ledger.db", identity="i", key="k") as (session, service):
        respond = service.__call__
        service.server._answer = lambda received: (
            respond(received) if received.target.endswith("/auth") else ScriptedResponse(401)
        )
        listed = session.list_many([11, 12, 13], errors="collect", progress=False)
        with pytest.raises(IncompleteListing, match="3 of 3 members could not be read"):
            session.list_many([11, 12, 13], progress=False)
    assert listed.empty
    assert [entry["member_id"] for entry in listed.attrs["unread"]] == [11, 12, 13]
    assert {entry["reason"] for entry in listed.attrs["unread"]} == {
        "no request gets through to the service: no listing got a response"
    }


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (pd.DataFrame({"member": [11]}), "cannot list offer states by member_identifier"),
        (pd.DataFrame([[11, 12]], columns=["member_id", "member_id"]), "more than one column member_id"),
        ("11", "must be a DataFrame, a Series or a list of ids"),
        ({"member_id": [11]}, "must be a DataFrame, a Series or a list of ids"),
        (np.array(11), "must be a DataFrame, a Series or a list of ids"),
        ([11, [12, 13]], "1 of 2 members cannot be read, so nothing was requested"),
        ([11, "x", None], r"(?s)2 of 3 members cannot be read, so nothing was requested.*'x'.*the id is missing"),
    ],
    ids=["other column", "column twice", "text", "dict", "array without dimensions", "list in a list", "cells"],
)
def test_list_refuses_invalid_members_before_any_request(world, session, members, why):
    asked = world.requests("list_offer_states")
    with pytest.raises(InvalidInput, match=why):
        session.list_many(members, progress=False)
    assert world.requests("list_offer_states") == asked


def test_list_refuses_unknown_errors_option(world, session):
    asked = world.requests("list_offer_states")
    with pytest.raises(InvalidInput, match="errors='ignore' is unknown; use 'raise' or 'collect'"):
        session.list_many(world.member_ids[:3], errors="ignore", progress=False)
    assert world.requests("list_offer_states") == asked


@pytest.mark.parametrize(
    "members", [[], pd.Series(dtype="Int64"), pd.DataFrame({"member_id": []})], ids=["list", "Series", "frame"]
)
def test_list_of_no_members_is_an_empty_typed_frame(session, members):
    listed = session.list_many(members, progress=False)
    assert len(listed) == 0
    assert {name: str(dtype) for name, dtype in listed.dtypes.items()} == OFFER_STATE
