"""The main job from end to end on a local Sparkfly: ``python -m sparkfly_nb.demo``, or ``make demo``."""

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
    """Issue offers to a frame of members, void some from a frame, audit the campaign, write the CSV; say each step.

    Parameters
    ----------
    csv_path : Path
        Where the audit goes.
    members : int
        How many members the local merchant has.

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
        _say(f"A local Sparkfly with {members} members is running; nothing leaves this machine.")
        began_at = pd.Timestamp.now("UTC")
        known = pd.DataFrame(session.service.members() if session.service else [])
        wanted = known[known["segment"].isin(["new", "lapsed"])]

        preview = session.preview_issue(wanted, CAMPAIGN, check_live=True, progress=False)
        plan = wanted[preview["verdict"] == "valid"]
        _say(
            f"Plan      {len(wanted)} new and lapsed members for campaign {CAMPAIGN}: "
            f"{len(wanted) - len(plan)} hold the offer already, {len(plan)} are to get it."
        )
        result = session.issue_many(plan, CAMPAIGN, progress=False)
        _say(f"Issue     {_counted(result['outcome'])}, one outcome per row.")
        again = session.issue_many(plan, CAMPAIGN, progress=False)
        _say(f"Again     the same rows a second time: {_counted(again['outcome'])}, and nothing was sent.")

        audit = session.audit(campaign_id=CAMPAIGN, members=plan, since=began_at, progress=False)
        lapsed = plan.loc[plan["segment"] == "lapsed", "member_id"]
        to_void = audit.states[audit.states["member_id"].isin(lapsed)]
        voided = session.void_many(to_void, reason="lapsed members get another offer", progress=False)
        _say(f"Void      {_counted(voided['outcome'])}: those of lapsed members, straight from the audit's frame.")

        audit = session.audit(campaign_id=CAMPAIGN, members=plan, since=began_at, progress=False)
        states = audit.states
        _say(f"Audit     {len(states)} offer states read back from the service: {_counted(states['status'])}.")
        _say(f"CSV       {audit.to_csv(csv_path)}")
        return audit


def _counted(words: pd.Series) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.value_counts().items())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when every step went through, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m sparkfly_nb.demo", description=__doc__)
    parser.add_argument("--csv", type=Path, default=Path("demo_output/campaign_audit.csv"), help="where the audit goes")
    parser.add_argument("--members", type=int, default=MEMBERS, help=f"members of the merchant (default {MEMBERS})")
    options = parser.parse_args(arguments)
    try:
        run_demo(options.csv, members=options.members)
    except SparkflyError as error:
        sys.stderr.write(f"the demo stopped: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
