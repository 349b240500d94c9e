"""Wrong options and values: each marked line must be an error for both type checkers."""

from __future__ import annotations

import pandas as pd

import sparkfly_nb as sf

sf.Session("prod", token="a-token")  # error: arg-type | Literal['sandbox']
sf.Session(token=5)  # error: arg-type | reportArgumentType
sf.Session(tokn="a-token")  # error: call-arg | reportCallIssue
sf.Session(token="a-token", timeout=(1, 2, 3))  # error: arg-type | reportArgumentType
sf.Session(token="a-token", retry=3)  # error: arg-type | reportArgumentType
sf.RetryPolicy(max_attempts=3)  # error: call-arg | reportCallIssue
sf.Session.from_env(tz=5)  # error: arg-type | reportArgumentType
sf.Session.sandbox(mebers=5)  # error: "mebers" | "mebers"
sf.Session.sandbox(environment="staging")  # error: "environment" | "environment"
sf.Session.sandbox(members="5")  # error: "members" | "members"
sf.Session.sandbox(faults=["status_503"])  # error: "faults" | "faults"


def single_calls(session: sf.Session) -> None:
    session.issue_offer(member_id=1009)  # error: call-arg | reportCallIssue
    session.issue_offer("SUMMER26", member_id=1009)  # error: Too many positional arguments | reportCallIssue
    session.issue_offer(campaign_id="SUMMER26", member_id=1009.5)  # error: arg-type | reportArgumentType
    session.issue_offer(campaign_id="SUMMER26", member_id=1009, expires_at=5)  # error: arg-type | reportArgumentType
    session.list_offer_states([1009])  # error: arg-type | reportArgumentType
    session.get_offer_state(1009)  # error: call-arg | reportCallIssue


def bulk_calls(session: sf.Session, plan: pd.DataFrame) -> None:
    session.issue_many(plan)  # error: call-arg | reportCallIssue
    session.issue_many([1009], "SUMMER26")  # error: arg-type | reportArgumentType
    session.issue_many(plan, "SUMMER26", concurency=8)  # error: call-arg | reportCallIssue
    session.issue_many(plan, "SUMMER26", rate="fast")  # error: arg-type | reportArgumentType
    session.void_many(plan, campaign_id="SUMMER26")  # error: call-arg | reportCallIssue
    session.list_many("1009")  # error: arg-type | reportArgumentType
    session.list_many(1009)  # error: arg-type | reportArgumentType
    session.list_many([1009.5])  # error: list-item | reportArgumentType
    session.list_many(plan, errors="ignore")  # error: arg-type | reportArgumentType


def audits(session: sf.Session, audit: sf.Audit) -> None:
    session.audit(members=1009)  # error: arg-type | reportArgumentType
    session.audit(members=b"members.csv")  # error: arg-type | reportArgumentType
    session.audit(run="summer", since=5)  # error: arg-type | reportArgumentType
    audit.summary(by=5)  # error: arg-type | reportArgumentType
    audit.compare("audit")  # error: arg-type | reportArgumentType
