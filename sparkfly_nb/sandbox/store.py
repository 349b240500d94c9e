"""What the sandbox remembers: members, offer states and credentials in SQLite, in memory or in a file that survives."""

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

HISTORY_MEMBERS: Final = 2000
"""At most so many members have a past, so that a sandbox of 100,000 starts in seconds."""

_LAYOUT: Final = 1

COLUMNS: Final[dict[str, str]] = {
    "offer_state_id": "INTEGER PRIMARY KEY",
    "member_id": "INTEGER",  # nobody's yet, where it is missing
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
    "offer_name": "TEXT",  # these three are the offer's own, unless an update changed them
    "offer_value_required": "INTEGER",
    "is_reward": "INTEGER",
    "activities": "TEXT NOT NULL",
}
"""An offer state as it is kept; what can be told from the offer, the campaign or the key is not kept twice."""

_TABLES: Final = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE members (member_id INTEGER PRIMARY KEY, member_identifier TEXT NOT NULL UNIQUE, segment TEXT NOT NULL);
CREATE TABLE tokens (digest BLOB PRIMARY KEY, expires_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE offer_states ({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())});
CREATE INDEX of_member ON offer_states (member_id);
CREATE INDEX of_reference ON offer_states (external_ref_id);
"""

_ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
_CREDENTIALS: Final = len(_ALPHABET) ** 7
_STRIDE: Final = 9_182_736_457  # no multiple of 31, so that no two keys give the same credential
_STRIDE_BACK: Final = pow(_STRIDE, -1, _CREDENTIALS)


class Credentials(NamedTuple):
    """What a client authenticates with."""

    identity: str
    key: str


def credential_of(state_id: int) -> str:
    """Give what is scanned at the point of sale: it looks random and belongs to one offer state only."""
    number, letters = state_id * _STRIDE % _CREDENTIALS, ""
    for _ in range(7):
        number, digit = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[digit]
    return "VK" + letters


def state_of_credential(credential: str) -> int | None:
    """Give the key of the offer state that a credential would belong to."""
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
        The file; made, readable by its owner only, where it does not exist. By default everything is in memory.
    seed, members : int
        What a new merchant is made from; an existing file keeps the one it has.
    clock : SandboxClock
        When "now" is for a new merchant, and for tokens.

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
                # The file holds credentials: it is made for its owner only, before SQLite opens it.
                make_private_file(path)
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0.5)
            self._db.row_factory = sqlite3.Row
            self._open(seed, members)
        except (OSError, sqlite3.Error) as error:
            raise SandboxError(
                f"the sandbox's file {path} cannot be used: {error}; is another sandbox running on it? "
                "give another --db"
            ) from None
        self._token_key = hashlib.blake2b(self._setting("seed").encode()).digest()
        self.credentials = Credentials(self._setting("identity"), self._setting("key"))
        self.generated_up_to = int(self._setting("generated_up_to"))
        self._tokens: dict[bytes, float] = dict(self._db.execute("SELECT digest, expires_s FROM tokens"))

    def _open(self, seed: int, members: int) -> None:
        # A killed process loses nothing: what was written is with the operating system. A power cut may.
        self._db.executescript(
            "PRAGMA trusted_schema=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
        )
        self._db.execute("BEGIN IMMEDIATE")
        layout = self._db.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, _LAYOUT):
            raise sqlite3.DatabaseError("it was made by another version")
        if layout == 0:
            for statement in filter(str.strip, _TABLES.split(";")):
                self._db.execute(statement)
            self._fill(seed, members)
            self._db.execute(f"PRAGMA user_version={_LAYOUT}")
        self._db.execute("COMMIT")

    def _fill(self, seed: int, members: int) -> None:
        # All in one transaction: a sandbox killed at its first start leaves no half of a merchant.
        self._db.executemany("INSERT INTO members VALUES (?, ?, ?)", generate_members(seed, members))
        now = self._clock.now()
        past = (
            state
            for member in islice(generate_members(seed, members), HISTORY_MEMBERS)
            for state in generate_states(seed, member, now)
        )
        # Keys follow time, as they would have when all members were served by one service.
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
        """Make a token that is valid for `lifetime_s` seconds; only its digest is kept."""
        token = secrets.token_urlsafe(32)
        row = (_digest(token), self._clock.now().timestamp() + lifetime_s)
        self._db.execute("INSERT INTO tokens VALUES (?, ?)", row)
        self._tokens[row[0]] = row[1]
        return token

    def accepts_token(self, token: str) -> bool:
        """Say whether a token was given out and has not expired."""
        expires_s = self._tokens.get(_digest(token))
        return expires_s is not None and self._clock.now().timestamp() < expires_s

    def expire_tokens(self, token: str | None = None) -> None:
        """End one token, or all."""
        if token is None:
            self._tokens.clear()
            self._db.execute("DELETE FROM tokens")
        else:
            self._tokens.pop(_digest(token), None)
            self._db.execute("DELETE FROM tokens WHERE digest = ?", (_digest(token),))

    # ---- tokens of offer states --------------------------------------------------------------------------------------

    def state_token(self, state_id: int) -> str:
        """Give the token (osid) of an offer state."""
        key = state_id.to_bytes(6, "big")
        seal = hashlib.blake2b(key, digest_size=12, key=self._token_key).digest()
        return base64.urlsafe_b64encode(key + seal).decode()

    def state_of_token(self, token: str) -> int | None:
        """Give the key of the offer state whose token this is."""
        try:
            state_id = int.from_bytes(base64.urlsafe_b64decode(token)[:6], "big")
        except ValueError:
            return None
        return state_id if self.state_token(state_id) == token else None

    # ---- members and offer states ------------------------------------------------------------------------------------

    def member(self, member_id: int) -> Member | None:
        """Find a member by Sparkfly's key."""
        row = self._db.execute("SELECT * FROM members WHERE member_id = ?", (member_id,)).fetchone()
        return row and Member(*row)

    def member_by_identifier(self, identifier: str) -> Member | None:
        """Find a member by the merchant's key."""
        row = self._db.execute("SELECT * FROM members WHERE member_identifier = ?", (identifier,)).fetchone()
        return row and Member(*row)

    def members(self, count: int | None) -> list[Member]:
        """List the first `count` members, or all."""
        rows = self._db.execute("SELECT * FROM members ORDER BY member_id LIMIT ?", (-1 if count is None else count,))
        return [Member(*row) for row in rows]

    def insert(self, state: Mapping[str, Any]) -> int:
        """Keep a new offer state and give its key."""
        names = ", ".join(state)
        values = [orjson.dumps(value).decode() if name == "activities" else value for name, value in state.items()]
        sql = f"INSERT INTO offer_states ({names}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608 - own names
        return int(self._db.execute(sql, values).lastrowid or 0)

    def change(
        self, state: Mapping[str, Any], changes: Mapping[str, Any], activity: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change an offer state, note what happened, and give it as it is now."""
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
        """List offer states whose columns equal what is given, oldest first or newest first."""
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
        """List every offer state with its member, without or with those that the generator made."""
        after = 0 if generated else self.generated_up_to
        rows = self._db.execute(
            "SELECT s.*, m.member_identifier FROM offer_states s LEFT JOIN members m USING (member_id) "
            "WHERE s.offer_state_id > ? ORDER BY s.offer_state_id",
            (after,),
        )
        return [dict(row) for row in rows]


def _digest(token: str) -> bytes:
    # A header may carry bytes that are no UTF-8; they are no token of ours either.
    return hashlib.blake2b(token.encode(errors="surrogateescape"), digest_size=16).digest()
