"""The members, offer states and credentials of the sandbox, in SQLite: in memory, or in a file."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..errors import SandboxError
from ..files import make_private_file
from .merchant import CAMPAIGNS, CHANNELS, OFFERS, Member, generate_members, generate_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .clock import SandboxClock

__all__ = ["Credentials", "Store", "credential_of", "state_of_credential"]

#: The number of members that have offer states at first. The limit lets a sandbox of 100,000 members start in seconds.
HISTORY_MEMBERS: Final = 2000

_LAYOUT: Final = 1

#: The columns of an offer state. The rest of its fields follow from its offer, its campaign or its ID.
COLUMNS: Final[dict[str, str]] = {
    "offer_state_id": "INTEGER PRIMARY KEY",
    "member_id": "INTEGER",  # NULL until a member takes over the offer state
    "offer_id": "INTEGER NOT NULL",
    "campaign_id": "INTEGER",
    "status": "TEXT NOT NULL DEFAULT 'incomplete'",
    "value": "INTEGER NOT NULL DEFAULT 0",
    "locked": "INTEGER NOT NULL DEFAULT 0",
    "external_ref_id": "TEXT",
    "created_at": "TEXT NOT NULL",
    "updated_at": "TEXT NOT NULL",
    "activates_at": "TEXT",
    "expires_at": "TEXT",
    "effective_expires_at": "TEXT NOT NULL",
    "offer_name": "TEXT",  # this and the next two are NULL, which means the offer's value, until an update sets them
    "offer_value_required": "INTEGER",
    "is_reward": "INTEGER",
    "activities": "TEXT NOT NULL",
}

_TABLES: Final = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE members (member_id INTEGER PRIMARY KEY, member_identifier TEXT NOT NULL UNIQUE, segment TEXT NOT NULL);
CREATE TABLE tokens (digest BLOB PRIMARY KEY, expires_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE offer_states ({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())});
CREATE INDEX of_member ON offer_states (member_id);
CREATE INDEX of_reference ON offer_states (external_ref_id);
"""

# No vowels, so that credentials spell no words and contain no O that looks like 0.
_ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
_CREDENTIALS: Final = len(_ALPHABET) ** 7
_STRIDE: Final = 9_182_736_457  # not a multiple of 31, so that no two IDs share a credential
_STRIDE_BACK: Final = pow(_STRIDE, -1, _CREDENTIALS)


class Credentials(NamedTuple):
    """The credentials of a client."""

    identity: str
    key: str


def credential_of(state_id: int) -> str:
    """Return the credential of an offer state: a unique, random-looking code to scan at the point of sale."""
    number, letters = state_id * _STRIDE % _CREDENTIALS, ""
    for _ in range(7):
        number, digit = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[digit]
    return "VK" + letters


def state_of_credential(credential: str) -> int | None:
    """Return the ID of the offer state that a credential belongs to, or None if the credential is malformed."""
    letters = credential[2:]
    if len(letters) != 7 or not credential.startswith("VK") or not set(letters) <= set(_ALPHABET):
        return None
    number = 0
    for letter in reversed(letters):
        number = number * len(_ALPHABET) + _ALPHABET.index(letter)
    return number * _STRIDE_BACK % _CREDENTIALS


class Store:
    """One merchant's members and offer states.

    Parameters
    ----------
    path : Path, optional
        The database file. A new file is readable only by its owner. By default, all data is in memory.
    seed, members : int
        The random seed and the number of members of a new merchant. An existing file keeps its merchant.
    clock : SandboxClock
        The current time, for a new merchant and for tokens.

    Raises
    ------
    SandboxError
        The file cannot be used.
    """

    def __init__(self, path: Path | None, *, seed: int, members: int, clock: SandboxClock) -> None:
        self.offers = {offer.offer_id: offer for offer in OFFERS}
        self.campaigns = {campaign.campaign_id: campaign for campaign in CAMPAIGNS}
        self.campaigns_by_xid = {campaign.campaign_xid: campaign for campaign in CAMPAIGNS}
        self.channels = {channel.channel_id: channel for channel in CHANNELS}
        self._clock = clock
        try:
            if path is not None:
                # The file contains credentials, and SQLite would create it with the default permissions.
                make_private_file(path)
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0.5)
            self._db.row_factory = sqlite3.Row
            self._open(seed, members)
        except (OSError, sqlite3.Error) as error:
            raise SandboxError(
                f"the sandbox's file {path} cannot be used: {error}; if another sandbox uses it, choose another --db"
            ) from None
        self._token_key = hashlib.blake2b(self._setting("seed").encode()).digest()
        self.credentials = Credentials(self._setting("identity"), self._setting("key"))
        self.generated_up_to = int(self._setting("generated_up_to"))
        self._tokens: dict[bytes, float] = dict(self._db.execute("SELECT digest, expires_s FROM tokens"))

    def _open(self, seed: int, members: int) -> None:
        # With synchronous=OFF a killed process loses nothing, because the operating system has all writes. A power
        # failure may lose some, which is acceptable for a sandbox.
        self._db.executescript(
            "PRAGMA trusted_schema=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
        )
        self._db.execute("BEGIN IMMEDIATE")
        layout = self._db.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, _LAYOUT):
            raise sqlite3.DatabaseError("another version of sparkfly_nb created it")
        if layout == 0:
            for statement in filter(str.strip, _TABLES.split(";")):
                self._db.execute(statement)
            self._fill(seed, members)
            self._db.execute(f"PRAGMA user_version={_LAYOUT}")
        self._db.execute("COMMIT")

    def _fill(self, seed: int, members: int) -> None:
        # Part of the transaction in _open, so that a sandbox that is killed at its first start leaves no half merchant.
        self._db.executemany("INSERT INTO members VALUES (?, ?, ?)", generate_members(seed, members))
        now = self._clock.now()
        past = (
            state
            for member in islice(generate_members(seed, members), HISTORY_MEMBERS)
            for state in generate_states(seed, member, now)
        )
        # IDs grow with the creation time over all members, as in the real service.
        for state in sorted(past, key=lambda state: state["created_at"]):
            self.insert(state)
        settings = {
            "seed": str(seed),
            "identity": f"sandbox-{secrets.token_hex(4)}",
            "key": secrets.token_urlsafe(32),
            "generated_up_to": str(self._last_key()),
        }
        self._db.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())

    def _setting(self, name: str) -> str:
        return str(self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0])

    def _last_key(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(offer_state_id), 0) FROM offer_states").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ---- tokens that authenticate ------------------------------------------------------------------------------------

    def new_token(self, lifetime_s: float) -> str:
        """Create a token that is valid for `lifetime_s` seconds. Only its digest is stored."""
        token = secrets.token_urlsafe(32)
        row = (_digest(token), self._clock.now().timestamp() + lifetime_s)
        self._db.execute("INSERT INTO tokens VALUES (?, ?)", row)
        self._tokens[row[0]] = row[1]
        return token

    def accepts_token(self, token: str) -> bool:
        """Return whether a token is known and has not expired."""
        expires_s = self._tokens.get(_digest(token))
        return expires_s is not None and self._clock.now().timestamp() < expires_s

    def expire_tokens(self, token: str | None = None) -> None:
        """Invalidate one token, or all."""
        if token is None:
            self._tokens.clear()
            self._db.execute("DELETE FROM tokens")
        else:
            self._tokens.pop(_digest(token), None)
            self._db.execute("DELETE FROM tokens WHERE digest = ?", (_digest(token),))

    # ---- tokens of offer states --------------------------------------------------------------------------------------

    def state_token(self, state_id: int) -> str:
        """Return the token (osid) of an offer state."""
        key = state_id.to_bytes(6, "big")
        seal = hashlib.blake2b(key, digest_size=12, key=self._token_key).digest()
        return base64.urlsafe_b64encode(key + seal).decode()

    def state_of_token(self, token: str) -> int | None:
        """Return the ID of the offer state that a token belongs to, or None if the token is not valid."""
        try:
            state_id = int.from_bytes(base64.urlsafe_b64decode(token)[:6], "big")
        except ValueError:
            return None
        return state_id if self.state_token(state_id) == token else None

    # ---- members and offer states ------------------------------------------------------------------------------------

    def member(self, member_id: int) -> Member | None:
        """Return the member with a Sparkfly member ID."""
        row = self._db.execute("SELECT * FROM members WHERE member_id = ?", (member_id,)).fetchone()
        return row and Member(*row)

    def member_by_identifier(self, identifier: str) -> Member | None:
        """Return the member with a loyalty identifier."""
        row = self._db.execute("SELECT * FROM members WHERE member_identifier = ?", (identifier,)).fetchone()
        return row and Member(*row)

    def members(self, count: int | None) -> list[Member]:
        """List the first `count` members, or all."""
        rows = self._db.execute("SELECT * FROM members ORDER BY member_id LIMIT ?", (-1 if count is None else count,))
        return [Member(*row) for row in rows]

    def insert(self, state: Mapping[str, Any]) -> int:
        """Store a new offer state and return its ID."""
        names = ", ".join(state)
        values = [orjson.dumps(value).decode() if name == "activities" else value for name, value in state.items()]
        sql = f"INSERT INTO offer_states ({names}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - own names
        return int(self._db.execute(sql, values).lastrowid or 0)

    def change(
        self, state: Mapping[str, Any], changes: Mapping[str, Any], activity: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change an offer state, add an activity, and return the new offer state."""
        activities = orjson.dumps([*orjson.loads(state["activities"]), activity]).decode()
        changed = {**changes, "activities": activities}
        names = ", ".join(f"{name} = ?" for name in changed)
        self._db.execute(
            f"UPDATE offer_states SET {names} WHERE offer_state_id = ?",  # noqa: S608 - own names
            (*changed.values(), state["offer_state_id"]),
        )
        return {**state, **changed}

    def find(
        self, conditions: Iterable[tuple[str, Any]], *, newest: bool = False, limit: int = -1, offset: int = 0
    ) -> list[dict[str, Any]]:
        """List the offer states whose columns have the given values, oldest first or newest first."""
        names, values = zip(*conditions, strict=True)
        where = " AND ".join(f"{name} = ?" for name in names)
        sql = (
            f"SELECT * FROM offer_states WHERE {where} "  # noqa: S608 - own names
            f"ORDER BY offer_state_id {'DESC' if newest else 'ASC'} LIMIT ? OFFSET ?"
        )
        return [dict(row) for row in self._db.execute(sql, (*values, limit, offset))]

    def count_of_member(self, member_id: int) -> int:
        """Count a member's offer states."""
        row = self._db.execute("SELECT count(*) FROM offer_states WHERE member_id = ?", (member_id,)).fetchone()
        return int(row[0])

    def all_states(self, *, generated: bool) -> list[dict[str, Any]]:
        """List all offer states with their members, with or without the generated ones."""
        after = 0 if generated else self.generated_up_to
        rows = self._db.execute(
            "SELECT s.*, m.member_identifier FROM offer_states s LEFT JOIN members m USING (member_id) "
            "WHERE s.offer_state_id > ? ORDER BY s.offer_state_id",
            (after,),
        )
        return [dict(row) for row in rows]


def _digest(token: str) -> bytes:
    # A header may contain bytes that are not UTF-8. They must give an unknown token, not an error.
    return hashlib.blake2b(token.encode(errors="surrogateescape"), digest_size=16).digest()
