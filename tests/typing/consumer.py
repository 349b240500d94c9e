"""Correct use of everything public: `make check` runs type checkers on this file, and it must have no error."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import sparkfly_nb as sf
from sparkfly_nb.forms import FORMS, BulkForm, Connect, Console, Form, IssueOffer
from sparkfly_nb.sandbox import SandboxProcess

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def connect() -> sf.Session:
    version: str = sf.__version__
    print(version)
    sf.Session(token="a-token")
    sf.Session("staging", identity="an-identity", key="a-key", timeout=10, tz="America/New_York")
    sf.Session("production", base_url="https://proxy.example/v1.0", token="a-token", timeout=(5, 60.0))
    sf.Session("sandbox", base_url="http://127.0.0.1:8000/v1.0", token="a-token", tz=dt.timezone.utc, ledger="runs.db")
    policy = sf.RetryPolicy(attempts=3, base_delay=0.1, max_delay=5, total_time=30.0)
    sf.Session(token="a-token", retry=policy)
    with sf.Session.from_env(timeout=(1, 2), tz="UTC", retry=policy) as session:
        environment: str = session.settings.environment
        address: str = session.settings.base_url
        ledger: str = session.ledger
        print(environment, address, ledger)
    return sf.Session.sandbox()


def sandbox() -> None:
    session = sf.Session.sandbox(
        members=200,
        seed=1,
        db=Path("merchant.db"),
        port=0,
        now=dt.datetime(2026, 6, 1, tzinfo=dt.timezone.utc),
        token_lifetime_s=60,
        faults={"issue_offer:half_body": 0.1},
        fault_seed=2,
        fault_times={"hang_s": 1},
        startup_timeout_s=10,
        timeout=5,
        tz="UTC",
        ledger="runs.db",
        retry=sf.RetryPolicy(attempts=1),
    )
    service = session.service
    if service is not None:
        identifiers: list[object] = [member["member_identifier"] for member in service.members(3)]
        print(identifiers, service.campaigns(), service.offers(), service.channels())
        print(service.truth(generated=False)["requests"], service.is_running)
        service.set_faults({"status_503": 0.5}, seed=1, times={"retry_after_s": 0.1})
        service.expire_tokens()
        service.refuse_connections(0.5)
    session.close()
    with SandboxProcess.start(members=5) as process:
        print(process.base_url, process.identity.reveal(), process.key.reveal())
        process.stop()


def single_calls(session: sf.Session) -> pd.DataFrame:
    issued: pd.DataFrame = session.issue_offer(
        campaign_id="SUMMER26",
        member_id=np.int64(1009),
        external_ref_id="my-reference",
        activates_at="2026-06-01T00:00:00Z",
        expires_at=pd.Timestamp("2026-07-01", tz="UTC"),
    )
    session.issue_offer(campaign_id="SUMMER26", member_identifier="LOY-1", expires_at=np.datetime64("2026-07-01"))
    session.issue_offer_state(1009, offer_id=301, channel_id="11", expires_at=dt.date(2026, 7, 1))
    session.create_offer_state(token="a-token", campaign_id="SUMMER26")
    session.update_offer_state(
        "1009", 7, status="active", value=3, locked=True, expires_at=dt.datetime.now(dt.timezone.utc)
    )
    session.redeem_offer_state(1009, offerstate_id=7, value=1)
    session.void_offer_state(1009, 7)
    session.void_offer_state_by_identifier(7, member_identifier="LOY-1")
    session.get_offer_state(1009, 7)
    session.get_offer_state_by_offer(1009, 301)
    session.query_offer_states(external_ref_id="my-reference", member_id=1009)
    states: pd.DataFrame = session.list_offer_states(1009)
    return pd.concat([issued, states])


def bulk_calls(session: sf.Session, plan: pd.DataFrame) -> pd.DataFrame:
    preview: pd.DataFrame = session.preview_issue(plan, "SUMMER26", check_live=True, progress=False)
    print(preview.attrs["digest"])
    result: pd.DataFrame = session.issue_many(
        plan,
        "SUMMER26",
        run="summer",
        allow_duplicates=False,
        approve="a-digest",
        reason="summer campaign",
        canary=5,
        concurrency=16,
        rate=50,
        n_jobs=2,
        progress=False,
        confirm=1000,
        halt_above=0.1,
        settle_pause=1,
    )
    session.void_many(result, reason="wrong campaign", rate=12.5)
    session.update_many(result, columns=["expires_at"])
    session.redeem_many(result, columns=("value",), confirm=None)
    session.void_run("summer", reason="wrong campaign", n_jobs=None)
    session.settle("summer", progress=False, settle_pause=0.5)
    runs: pd.DataFrame = session.runs()
    print(runs)
    return session.run("summer")


def listings(session: sf.Session, plan: pd.DataFrame) -> None:
    session.list_many(plan)
    session.list_many(plan["member_id"])
    session.list_many(plan.index, errors="collect")
    session.list_many(plan["member_id"].to_numpy(), concurrency=8, rate=None)
    session.list_many(pd.array([1009, 1010], dtype="Int64"))
    session.list_many([1009, 1010])
    session.list_many(["1009", "1010"], n_jobs=2)
    session.list_many({1009, 1010})
    session.list_many(range(1001, 1101))


def audits(session: sf.Session, plan: pd.DataFrame) -> sf.Audit:
    session.audit(run="summer")
    session.audit(campaign_id=41, members=[1009, "1010"])
    session.audit(
        campaign_id="SUMMER26",
        members=Path("members.csv"),
        since=dt.date(2026, 6, 1),
        until=pd.Timestamp("2026-07-01", tz="UTC"),
    )
    session.audit(
        offer_id="301", members="members.parquet", since="2026-06-01T00:00:00Z", until=np.datetime64("2026-07-01")
    )
    audit: sf.Audit = session.audit(members=plan, concurrency=8, n_jobs=1, progress=False)
    complete: bool = audit.complete
    frames: list[pd.DataFrame] = [audit.states, audit.plan, audit.unread, audit.exceptions(), audit.activities()]
    frames += [audit.summary(), audit.summary(by="segment", expiring_days=14), audit.summary(by=["segment", "store"])]
    frames += [audit.timeline(), audit.timeline("W"), sf.verify("audit")]
    figure: Figure = audit.plot(by="segment", freq="W", path=Path("audit.png"))
    written: list[Path] = [audit.to_csv("audit"), audit.to_excel("audit.xlsx"), audit.to_parquet(Path("audit.parquet"))]
    earlier: sf.Audit = sf.read_audit(Path("audit"))
    changes: pd.DataFrame = audit.compare(earlier).states
    print(complete, frames, figure, written, changes)
    return earlier


def forms(session: sf.Session, plan: pd.DataFrame) -> None:
    console: Console = session.forms()
    each: dict[str, Form] = console.forms
    print(each, FORMS["void_offer_state"](session), IssueOffer(session), BulkForm(session, plan), Connect("staging"))


def errors(session: sf.Session) -> None:
    try:
        session.get_offer_state(1009, 7)
    except sf.NotFound as error:
        status: int = error.status
        trace: str | None = error.trace
        print(status, error.reason, trace, error.method, error.path)
    except (sf.AuthenticationError, sf.PermissionDenied, sf.Unprocessable, sf.RateLimited, sf.ServerError, sf.ApiError):
        pass
    except sf.OutcomeUnknown as error:
        lookup: str = error.readback
        print(lookup, error.status)
    except sf.InvalidRows as error:
        report: pd.DataFrame = error.report
        print(report)
    except sf.PlanChanged as error:
        print(error.differences.columns)
    except sf.ConfirmationRequired as error:
        rows: int = error.rows
        print(rows)
    except sf.RunHalted as error:
        print(error.result.columns)
    except (sf.IncompleteListing, sf.UnreadableAnswer, sf.RequestFailed, sf.ConnectionFailed, sf.InvalidInput):
        pass
    except (sf.ConfigurationError, sf.LedgerError, sf.AuditFileError, sf.SandboxError):
        pass
    except sf.SparkflyError as error:
        raise SystemExit(str(error)) from error
    except sf.DataWarning:
        pass
