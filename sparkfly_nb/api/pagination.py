"""All pages of a listing, or an error. A state machine without I/O, shared by single calls and the bulk workers.

The offer-state list documents no paging. `Listing` sends the usual parameters and checks the result: it counts
the entries and tells them apart by their ``offer_state_id``::

    listing = Listing("the offer states of member 1009")
    while (query := listing.next_query()) is not None:
        records, restarted = listing.take(read_index(...))   # of the response to this query
        if restarted:
            builder.clear()                                  # the listing changed: drop earlier pages
        builder.add(records)
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..errors import IncompleteListing, UnreadableAnswer
from .endpoints import PAGE_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .response import ListingPage

__all__ = ["RESTARTS", "Listing", "Taken"]

#: How often a listing that changes while it is read is read again from the start.
RESTARTS: Final = 2
#: More entries than any member holds. A service whose pages never end is not followed until the memory is full.
MAX_ENTRIES: Final = 200_000


class Taken(NamedTuple):
    """What one page added to a listing."""

    records: list[dict[str, Any]]
    #: Whether all earlier pages are void, because the listing is read again from its first page.
    restarted: bool


class Listing:
    """One listing, read page by page.

    Parameters
    ----------
    what : str
        What is listed, for messages: ``"the offer states of member 1009"``.
    per_page : int
        Entries to request per page. If the service returns another number, it is followed.
    """

    def __init__(self, what: str, per_page: int = PAGE_ROWS) -> None:
        self._what = what
        self._asked_per_page = per_page
        self._restarts = 0
        self._begin()

    def _begin(self) -> None:
        self._next_page = 1
        self._per_page: int | None = None
        self._total: int | None = None
        self._seen: set[int | str] = set()
        self._complete = False

    def next_query(self) -> dict[str, int] | None:
        """Return the query parameters of the next page, or None if the listing is complete."""
        if self._complete:
            return None
        return {"page": self._next_page, "per_page": self._per_page or self._asked_per_page}

    def take(self, page: ListingPage) -> Taken:
        """Add the page that the service returned for `next_query`.

        Returns
        -------
        Taken
            The entries to keep. If ``restarted`` is true there are none, and the caller drops earlier ones.

        Raises
        ------
        IncompleteListing
            The service repeated a page, stopped early, returned more entries than it counts, or the listing kept
            changing.
        UnreadableAnswer
            Entries cannot be told apart.
        """
        if self._changed(page):
            return self._restart("its counts changed from page to page")
        if page.total_entries is not None:
            self._total = page.total_entries
        if self._per_page is None and page.per_page is not None and page.per_page > 0:
            self._per_page = page.per_page  # the service may ignore the requested number

        keys = _keys(page.records)
        fresh = set(keys) - self._seen
        if len(fresh) < len(keys):
            if fresh and self._seen:
                return self._restart("entries moved from page to page")
            raise self._incomplete(f"page {self._next_page} repeats entries. The service seems to ignore page=")
        self._seen |= fresh
        if len(self._seen) > MAX_ENTRIES:
            raise self._incomplete(f"more than {MAX_ENTRIES:,} entries arrived, and more would follow")
        self._judge_progress(came=len(keys))
        self._next_page += 1
        return Taken(page.records, restarted=False)

    def _changed(self, page: ListingPage) -> bool:
        return (self._total is not None and page.total_entries not in (None, self._total)) or (
            self._per_page is not None and page.per_page not in (None, self._per_page)
        )

    def _judge_progress(self, came: int) -> None:
        count = len(self._seen)
        if self._total is None:
            self._complete = came == 0  # without a count, only an empty page ends the listing
        elif count > self._total:
            raise self._incomplete(f"{count} entries arrived, more than the {self._total} that the service counts")
        elif count == self._total:
            self._complete = True
        elif came == 0:
            raise self._incomplete(f"page {self._next_page} is empty after {count} of {self._total} entries")

    def _restart(self, why: str) -> Taken:
        if self._restarts == RESTARTS:
            raise self._incomplete(f"{why}, {RESTARTS + 1} times")
        self._restarts += 1
        self._begin()
        return Taken([], restarted=True)

    def _incomplete(self, why: str) -> IncompleteListing:
        return IncompleteListing(
            f"{self._what} could not be listed completely: {why}. Nothing is returned. Try again later"
        )


def _keys(records: Sequence[Mapping[str, Any]]) -> Sequence[int | str]:
    """Return what tells entries apart: their ids, or their content where an id is missing."""
    numbers: list[Any] = [record.get("offer_state_id") for record in records]
    return numbers if set(map(type, numbers)) == {int} else list(map(_key, records))


def _key(record: Mapping[str, Any]) -> int | str:
    key = record.get("offer_state_id", record.get("id"))
    if type(key) is int:
        return key
    if key is not None:
        text = str(key)
        return int(text) if _NUMBER.fullmatch(text) else text  # another page may write the same id as text
    try:
        content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes
        raise UnreadableAnswer("an entry without an offer_state_id is nested too deeply to be told apart") from None
    return hashlib.blake2b(content, digest_size=16).hexdigest()


_NUMBER: Final = re.compile("0|-?[1-9][0-9]{0,40}")
