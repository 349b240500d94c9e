"""A demo of the main workflow on a local Sparkfly service: ``python -m sparkfly_nb.demo``, or ``make demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from .errors import SparkflyError
from .session.session import Session

if TYPE_CHECKING:
    from .audit import Audit

__all__ = ["main", "run_demo"]

CAMPAIGN: Final = "SUMMER26"
MEMBERS: Final = 500


def run_demo(csv_path: Path, *, members: int = MEMBERS) -> Audit:
    """Issue offers to the members of a DataFrame, void some, audit the campaign, and write the audit as CSV.

    Parameters
    ----------
    csv_path : Path
        The CSV file to write.
    members : int
        The number of members of the local merchant.

    Returns
    -------
    Audit
        The audit that was written.

    Raises
    ------
    SparkflyError
        A step failed.
    """
    with Session.sandbox(members=members, seed=7) as session:
        _print(f"A local Sparkfly service with {members} members is running. Nothing leaves this machine.")
        began_at = pd.Timestamp.now("UTC")
        known = pd.DataFrame(session.service.members() if session.service else [])
        wanted = known[known["segment"].isin(["new", "lapsed"])]

        preview = session.preview_issue(wanted, CAMPAIGN, check_live=True, progress=False)
        plan = wanted[preview["verdict"] == "valid"]
        _print(
            f"Plan      {len(wanted)} new and lapsed members for campaign {CAMPAIGN}: "
            f"{len(wanted) - len(plan)} already have the offer, {len(plan)} will get it."
        )
        result = session.issue_many(plan, CAMPAIGN, progress=False)
        _print(f"Issue     {_counted(result['outcome'])}, one outcome per row.")
        # The same call again: no member gets the offer twice.
        again = session.issue_many(plan, CAMPAIGN, progress=False)
        _print(f"Again     the same rows a second time: {_counted(again['outcome'])}. Nothing was sent.")

        audit = session.audit(campaign_id=CAMPAIGN, members=plan, since=began_at, progress=False)
        lapsed = plan.loc[plan["segment"] == "lapsed", "member_id"]
        to_void = audit.states[audit.states["member_id"].isin(lapsed)]
        voided = session.void_many(to_void, reason="lapsed members get another offer", progress=False)
        _print(f"Void      {_counted(voided['outcome'])}: the offers of lapsed members, selected in the audit.")

        audit = session.audit(campaign_id=CAMPAIGN, members=plan, since=began_at, progress=False)
        states = audit.states
        _print(f"Audit     {len(states)} offer states read from the service: {_counted(states['status'])}.")
        _print(f"CSV       {audit.to_csv(csv_path)}")
        return audit


def _counted(words: pd.Series) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.value_counts().items())


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the demo. Return 0 if every step succeeded, otherwise 1."""
    parser = argparse.ArgumentParser(prog="python -m sparkfly_nb.demo", description=__doc__)
    parser.add_argument(
        "--csv", type=Path, default=Path("demo_output/campaign_audit.csv"), help="the CSV file to write"
    )
    parser.add_argument("--members", type=int, default=MEMBERS, help=f"number of members (default {MEMBERS})")
    options = parser.parse_args(arguments)
    try:
        run_demo(options.csv, members=options.members)
    except SparkflyError as error:
        sys.stderr.write(f"the demo stopped: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
