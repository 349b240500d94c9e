"""A PostgreSQL server for the tests: on loopback, in a temporary directory, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg
import pytest

REQUIRED = "SPARKFLY_NB_REQUIRE_POSTGRES"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
REQUIRE = os.environ.get(REQUIRED) == "1"
START_S = 60


def _absent(why):
    if REQUIRE:
        pytest.fail(f"{why}, and {REQUIRED}=1 requires these tests", pytrace=False)
    pytest.skip(why)


def _find_programs():
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    if not PROGRAMS:
        _absent("no PostgreSQL server is installed here")
    return PROGRAMS[-1]


def _owner():
    """Return the account for the server, which refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return _absent("the tests run as root, and no other account exists for PostgreSQL")


def _free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def postgres_server():
    """Start a server and yield the address of its first database."""
    programs, owner = _find_programs(), _owner()
    home = Path(tempfile.mkdtemp(prefix="sparkfly_nb-postgres-"))
    if owner:
        os.chown(home, owner["user"], owner["group"])
    place, port = home / "cluster", _free_port()

    def run(program, *arguments):
        done = subprocess.run(
            [programs / program, *map(str, arguments)],
            cwd=home, env={"LC_ALL": "C", "PATH": os.defpath}, timeout=START_S, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **owner,
        )  # fmt: skip
        if done.returncode:
            _absent(f"{program} failed: {done.stderr.decode(errors='replace')[-500:]}")

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        run("initdb", "-D", place, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", place, "-l", home / "log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", place, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def fresh_database(server_address):
    """Create a database, yield its address, and drop it at the end."""
    name = f"ledger_{uuid.uuid4().hex}"
    with psycopg.connect(server_address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield server_address.removesuffix("postgres") + name
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
