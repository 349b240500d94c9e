"""The eleven operations of the service, one method each: the API's names go in, a typed DataFrame comes out."""

from __future__ import annotations

from .changes import Changes
from .reads import Reads

__all__ = ["SingleCalls"]


class SingleCalls(Reads, Changes):
    """One call each. Ids of the address may be given by position, everything else by its name.

    Ids are whole numbers or texts. Times are ISO 8601 texts, datetimes, Timestamps or numpy times; one without an
    offset is refused unless the Session has ``tz``. A value that is None or missing counts as not given. Frames have
    the columns and dtypes of `schema`; fields that it does not know come as further columns at the end.

    Every call raises `InvalidInput` before anything is sent; `ConnectionFailed` where the service saw nothing of it;
    `ApiError` where the service refused (by status `AuthenticationError`, `PermissionDenied`, `NotFound`,
    `Unprocessable`, `RateLimited`, `ServerError`). Reads and voids are asked again and raise `RequestFailed` where no
    usable answer came; a change whose answer is lost is not sent again and raises `OutcomeUnknown`.
    """
