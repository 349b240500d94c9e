"""The commands for cron: ``python -m sparkfly_nb audit members.csv --campaign X --out audit/``, and ``verify``."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Final

from .audit import verify
from .errors import SparkflyError
from .session.session import Session
from .settings import VARIABLES

__all__ = ["main"]

CLEAN: Final = 0
EXCEPTIONS_FOUND: Final = 1
INCOMPLETE_OR_FAILED: Final = 2
"""The exit codes; what a shell gets from a crash of Python, 1, must not look like an audit with exceptions."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SparkflyError as error:
        sys.stderr.write(f"failed: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("failed: interrupted\n")
    except Exception:  # noqa: BLE001 - shown in full; only the exit code is chosen here
        traceback.print_exc()
    else:
        return code
    return INCOMPLETE_OR_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sparkfly_nb", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit = commands.add_parser(
        "audit",
        help="audit a campaign and write the folder that is handed over",
        description="Audit a campaign from the service itself and write the folder that is handed over.",
        epilog="exit code: 0 clean, 1 exceptions found, 2 incomplete or failed. Connects as the environment says: "
        + ", ".join(VARIABLES.values()),
    )
    audit.add_argument("members", nargs="?", type=Path, help="CSV or Parquet with member_id; not needed with --run")
    audit.add_argument("--campaign", metavar="ID", help="the campaign's XID or number")
    audit.add_argument("--offer", metavar="ID", help="only offer states of this offer")
    audit.add_argument("--run", metavar="NAME", help="a run of the ledger: its rows are the plan")
    audit.add_argument("--since", metavar="TIME", help="only offer states created from then on, in ISO 8601")
    audit.add_argument("--until", metavar="TIME", help="only offer states created before then, in ISO 8601")
    audit.add_argument("--tz", metavar="ZONE", help="the time zone of the timeline and of times without an offset")
    audit.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the folder is written")
    audit.add_argument("--concurrency", type=int, default=64, metavar="N", help="requests in flight (default 64)")
    audit.set_defaults(command=_audit)
    check = commands.add_parser(
        "verify",
        help="check a folder that was handed over, offline",
        description="Check a folder that was handed over, offline.",
        epilog="exit code: 0 as it was written, 2 anything else",
    )
    check.add_argument("folder", type=Path, help="what audit wrote")
    check.set_defaults(command=_verify)
    return parser


def _audit(options: argparse.Namespace) -> int:
    with Session.from_env(tz=options.tz) as session:
        audit = session.audit(
            campaign_id=options.campaign,
            offer_id=options.offer,
            members=options.members,
            run=options.run,
            since=options.since,
            until=options.until,
            concurrency=options.concurrency,
            progress=sys.stderr.isatty(),
        )
        folder = audit.to_csv(options.out)
    sys.stdout.write(f"{audit!r}\nwritten to {folder}\n")
    if not audit.complete:
        return INCOMPLETE_OR_FAILED
    return CLEAN if audit.exceptions().empty else EXCEPTIONS_FOUND


def _verify(options: argparse.Namespace) -> int:
    files = verify(options.folder)
    sys.stdout.write(f"{options.folder} is as it was written: {len(files)} files, {files['rows'].sum():,} rows\n")
    return CLEAN


if __name__ == "__main__":
    sys.exit(main())
