"""Record the cassettes again, from the sandbox or from staging: ``make cassettes``.

For staging set SPARKFLY_ENVIRONMENT=staging, SPARKFLY_IDENTITY and SPARKFLY_KEY, and name records that may be changed:
SPARKFLY_CASSETTE_MEMBER_ID, _MEMBER_IDENTIFIER, _OTHER_MEMBER_ID, _OFFER_ID, _CAMPAIGN_ID, _SUSPENDED_CAMPAIGN_ID.
Cassettes that need a fault, such as a 500, keep their recording from the sandbox.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import get_type_hints

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import recording
from cassette_scenarios import ALL, SANDBOX_WORLD, World

from sparkfly_nb.errors import SparkflyError
from sparkfly_nb.sandbox import SandboxProcess
from sparkfly_nb.settings import VARIABLES, Settings

SANDBOX_STARTS = dt.datetime(2026, 6, 30, 12, tzinfo=dt.timezone.utc)


def report(line):
    sys.stdout.write(line + "\n")


class NotAsExpected(Exception):
    """The response differs from the scenario."""


def record(scenario, name, folder, world, *, source, tmp_path, **arguments):
    """Record one cassette into a folder.

    Raises
    ------
    NotAsExpected
        The response differs from the scenario. Nothing was written.
    """
    given = {**arguments, "token": scenario.token, "identity": None, "key": None} if scenario.token else arguments
    session = recording.quick_session(Path(tmp_path) / f"{name.replace('/', '-')}.db", **given)

    def secrets():
        known = [session.settings.identity, session.settings.key, session.settings.token, session._tokens.current()[0]]
        return [secret.reveal() for secret in known if secret is not None]

    serializer = recording.Annotated(source=source, world=world, secrets=secrets)
    recorder = recording.make_vcr(root=session.settings.root_url, serializer=serializer)
    target = folder / f"{name}.yaml"
    with tempfile.TemporaryDirectory() as aside, session:
        written = Path(aside) / target.name
        with recorder.use_cassette(str(written), record_mode="all"):
            caught = None
            try:
                scenario.call(session, world)
            except SparkflyError as error:
                caught = error
            if type(caught) is not (scenario.raises or type(None)):
                raise NotAsExpected(f"{name}: {caught!r}")
        if serializer.has_refused:
            raise RuntimeError("the cassette would contain a secret; nothing was written")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, target)


@contextmanager
def source_from_environment():
    """Yield the source: its name, its world, the connection, and a function that sets faults, or None for staging."""
    environment = os.environ.get(VARIABLES["environment"], "sandbox")
    if environment == "sandbox":
        with SandboxProcess.start(members=12, now=SANDBOX_STARTS, fault_times={"retry_after_s": 0}) as sandbox:
            secrets = {"identity": sandbox.identity.reveal(), "key": sandbox.key.reveal()}
            connection = {"environment": "sandbox", "base_url": sandbox.base_url, **secrets}
            yield "the sandbox of sparkfly_nb", SANDBOX_WORLD, connection, sandbox.set_faults
        return
    variables = {name: f"SPARKFLY_CASSETTE_{name.upper()}" for name in World._fields}
    missing = [
        name for name in (*variables.values(), VARIABLES["identity"], VARIABLES["key"]) if name not in os.environ
    ]
    if missing:
        sys.exit(f"to record from {environment}, set {', '.join(missing)}")
    connection = {name: os.environ[VARIABLES[name]] for name in ("environment", "identity", "key")}
    connection["base_url"] = os.environ.get(VARIABLES["base_url"])
    if Settings.make(**connection).is_production:
        sys.exit("cassettes cannot be recorded from production, because the calls change offers of members")
    kinds = get_type_hints(World)
    world = World(**{name: kinds[name](os.environ[variable]) for name, variable in variables.items()})
    yield environment, world, connection, None


def main():
    """Record all cassettes. Return 0 if each response was as expected, otherwise 1."""
    failed = []
    with source_from_environment() as (source, world, connection, set_faults), tempfile.TemporaryDirectory() as tmp:
        for name, scenario in ALL.items():
            if scenario.faults and set_faults is None:
                report(f"{name}: kept, because {source} cannot inject faults")
                continue
            if set_faults is not None:
                set_faults(scenario.faults)
            try:
                record(scenario, name, recording.CASSETTES, world, source=source, tmp_path=tmp, **connection)
            except NotAsExpected as surprise:
                failed.append(str(surprise))
    report(f"{len(ALL) - len(failed)} of {len(ALL)} cassettes are up to date, recorded from {source}")
    for line in failed:
        report(f"kept the old recording: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
