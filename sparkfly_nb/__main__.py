"""The command line: ``python -m sparkfly_nb audit members.csv --campaign X --out audit/``, and ``verify``."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Final

from .errors import SparkflyError
from .session.session import Session
from .settings import VARIABLES

__all__ = ["main"]

#: The exit codes.
CLEAN: Final = 0
EXCEPTIONS_FOUND: Final = 1
INCOMPLETE_OR_FAILED: Final = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SparkflyError as error:
        sys.stderr.write(f"failed: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("failed: interrupted\n")
    except Exception:  # noqa: BLE001 - printed in full
        # Python itself would exit with 1, which means an audit with exceptions.
        traceback.print_exc()
    else:
        return code
    return INCOMPLETE_OR_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sparkfly_nb", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit = commands.add_parser(
        "audit",
        help="audit a campaign and export the audit as a folder",
        description="Read a campaign from the service and export the audit as a folder.",
        epilog="Exit code: 0 clean, 1 exceptions found, 2 incomplete or failed. Environment variables: "
        + ", ".join(VARIABLES.values()),
    )
    audit.add_argument("members", nargs="?", type=Path, help="CSV or Parquet file with member_id; optional with --run")
    audit.add_argument("--campaign", metavar="ID", help="the campaign's XID or number")
    audit.add_argument("--offer", metavar="ID", help="only offer states of this offer")
    audit.add_argument("--run", metavar="NAME", help="a run of the ledger; its rows become the plan")
    audit.add_argument("--since", metavar="TIME", help="only offer states created at or after this ISO 8601 time")
    audit.add_argument("--until", metavar="TIME", help="only offer states created before this ISO 8601 time")
    audit.add_argument("--tz", metavar="ZONE", help="time zone of the timeline and of times without an offset")
    audit.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the folder to write")
    audit.add_argument("--concurrency", type=int, default=64, metavar="N", help="requests in flight (default 64)")
    audit.set_defaults(command=_audit)
    check = commands.add_parser(
        "verify",
        help="check an exported audit folder, offline",
        description="Check that an exported audit folder is complete and unchanged. No requests are sent.",
        epilog="Exit code: 0 unchanged, 2 otherwise.",
    )
    check.add_argument("folder", type=Path, help="a folder that the audit command wrote")
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
    sys.stdout.write(f"{audit!r}\nWritten to {folder}\n")
    if not audit.complete:
        return INCOMPLETE_OR_FAILED
    return CLEAN if audit.exceptions().empty else EXCEPTIONS_FOUND


def _verify(options: argparse.Namespace) -> int:
    from .audit import verify  # noqa: PLC0415 - the package also works without the audit

    files = verify(options.folder)
    sys.stdout.write(f"{options.folder} is complete and unchanged: {len(files)} files, {files['rows'].sum():,} rows\n")
    return CLEAN


if __name__ == "__main__":
    sys.exit(main())
