"""Every error this package raises, as one tree.

SparkflyError
├── ConfigurationError        a setting, an address or a credential cannot be used (also a ValueError)
├── InvalidInput              a value was refused before anything was sent (also a ValueError)
│   └── InvalidRows           rows of a frame were refused before anything was sent; holds the report
├── ConnectionFailed          no connection was made: the service did not see the request
├── RequestFailed             a read or a void got no usable answer, and asking again did not help
│   ├── UnreadableAnswer      an answer came, and it is not what the operation promises
│   └── IncompleteListing     a listing repeated a page, stopped early or changed under the reader
├── ApiError                  the service refused: status, message, trace, method and path
│   ├── AuthenticationError   401, or credentials that were not accepted
│   ├── PermissionDenied      403
│   ├── NotFound              404
│   ├── Unprocessable         422
│   ├── RateLimited           429, and waiting did not help
│   └── ServerError           5xx, and the service surely did nothing that matters
├── OutcomeUnknown            a change may or may not have happened; says how to look
├── LedgerError               the ledger cannot be read or written
│   └── PlanChanged           the name of a run was used for other rows; holds the differences
├── ConfirmationRequired      a bulk change of production needs the number of rows
├── RunHalted                 a run was stopped for safety; holds the results so far
├── AuditFileError            an exported audit is incomplete, damaged or not an audit
└── SandboxError              the local service did not start or stopped
DataWarning                   (a UserWarning) values in an answer that could not be read became missing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = [
    "ApiError",
    "AuditFileError",
    "AuthenticationError",
    "ConfigurationError",
    "ConfirmationRequired",
    "ConnectionFailed",
    "DataWarning",
    "IncompleteListing",
    "InvalidInput",
    "InvalidRows",
    "LedgerError",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "PlanChanged",
    "RateLimited",
    "RequestFailed",
    "RunHalted",
    "SandboxError",
    "ServerError",
    "SparkflyError",
    "Unprocessable",
    "UnreadableAnswer",
]

_E = TypeVar("_E", bound="SparkflyError")


def _rebuild(kind: type[_E], message: str, state: dict[str, Any]) -> _E:
    """Make an error again from its pickle, whatever its ``__init__`` asks for."""
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class SparkflyError(Exception):
    """The root: catch this to catch everything the package raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.__dict__.copy())


class ConfigurationError(SparkflyError, ValueError):
    """A setting, an address or a credential cannot be used."""


class InvalidInput(SparkflyError, ValueError):
    """A value was refused before anything was sent."""


class InvalidRows(InvalidInput):
    """Rows of a frame were refused before anything was sent.

    Attributes
    ----------
    report : pandas.DataFrame
        One line per problem: ``row`` (the label in the index), ``column``, ``value``, ``problem``, ``fix``.
    """

    def __init__(self, message: str, report: pd.DataFrame) -> None:
        super().__init__(message)
        self.report = report


class ConnectionFailed(SparkflyError):
    """No connection was made: the service did not see the request."""


class RequestFailed(SparkflyError):
    """A read or a void got no usable answer, and asking again did not help."""


class UnreadableAnswer(RequestFailed):
    """An answer came, and it is not what the operation promises."""


class IncompleteListing(RequestFailed):
    """A listing repeated a page, stopped early or changed under the reader: a part is not returned as the whole."""


class ApiError(SparkflyError):
    """The service refused the request.

    Attributes
    ----------
    status : int
        The HTTP status.
    reason : str
        The service's own message, or a standard one where it sent none.
    trace : str or None
        What Sparkfly's support asks for.
    method, path : str
        The request, without address and query.
    """

    def __init__(self, status: int, reason: str, *, trace: str | None, method: str, path: str) -> None:
        lead = f"[trace {trace}] " if trace else ""
        super().__init__(f"{lead}{status} on {method} {path}: {reason}")
        self.status = status
        self.reason = reason
        self.trace = trace
        self.method = method
        self.path = path


class AuthenticationError(ApiError):
    """401: the token or the credentials were not accepted; nothing was processed."""


class PermissionDenied(ApiError):
    """403: these credentials may not do that."""


class NotFound(ApiError):
    """404: there is no such member, offer state, offer or campaign."""


class Unprocessable(ApiError):
    """422: the service understood and refused, for instance because the offer state is in another status."""


class RateLimited(ApiError):
    """429: too many requests, and waiting did not help."""


class ServerError(ApiError):
    """5xx on a read or a void, and asking again did not help."""


class OutcomeUnknown(SparkflyError):
    """A change may or may not have happened: look before it is asked for again.

    Attributes
    ----------
    method, path : str
        The request, without address and query.
    status : int or None
        The HTTP status where an answer came at all.
    readback : str
        A line of Python, ready to paste, that shows whether it happened.
    """

    def __init__(self, why: str, *, method: str, path: str, status: int | None, readback: str) -> None:
        super().__init__(
            f"{method} {path}: {why}. The service may have acted. Do not send it again before you have looked:\n"
            f"    {readback}"
        )
        self.method = method
        self.path = path
        self.status = status
        self.readback = readback


class LedgerError(SparkflyError):
    """The ledger cannot be read or written; nothing was sent that could not be recorded."""


class PlanChanged(LedgerError):
    """The name of a run was used before for other rows.

    Attributes
    ----------
    differences : pandas.DataFrame
        One line per difference: ``position``, ``column``, ``recorded``, ``now``.
    """

    def __init__(self, message: str, differences: pd.DataFrame) -> None:
        super().__init__(message)
        self.differences = differences


class ConfirmationRequired(SparkflyError):
    """A bulk change of production needs ``confirm=`` with the number of rows.

    Attributes
    ----------
    rows : int
        The number to give.
    """

    def __init__(self, message: str, rows: int) -> None:
        super().__init__(message)
        self.rows = rows


class RunHalted(SparkflyError):
    """A run was stopped for safety before it was through.

    Attributes
    ----------
    result : pandas.DataFrame
        The result frame so far; rows that were not sent have the outcome ``planned``.
    """

    def __init__(self, message: str, result: pd.DataFrame) -> None:
        super().__init__(message)
        self.result = result


class AuditFileError(SparkflyError):
    """An exported audit is incomplete, damaged or not an audit."""


class SandboxError(SparkflyError):
    """The local service did not start, or stopped."""


class DataWarning(UserWarning):
    """Values in an answer could not be read and became missing: counted, with examples, once per column."""


API_ERRORS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    422: Unprocessable,
    429: RateLimited,
}
"""The class of its own that a status has; other 4xx are `ApiError`, 5xx are `ServerError`."""
