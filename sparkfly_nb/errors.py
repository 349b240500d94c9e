"""All exceptions that this package raises, as one tree.

SparkflyError
├── ConfigurationError        a setting, an address or a credential cannot be used (also a ValueError)
├── InvalidInput              a value was rejected before anything was sent (also a ValueError)
│   └── InvalidRows           rows of a frame were rejected before anything was sent; .report lists them
├── ConnectionFailed          no connection was made, so the service did not process the request
├── RequestFailed             a read or a void got no usable response, and retrying did not help
│   ├── UnreadableAnswer      a response arrived that does not match the API description
│   └── IncompleteListing     a listing repeated a page, stopped early or changed while it was read
├── ApiError                  the service rejected the request: status, message, trace, method and path
│   ├── AuthenticationError   401, or credentials that were not accepted
│   ├── PermissionDenied      403
│   ├── NotFound              404
│   ├── Unprocessable         422
│   ├── RateLimited           429, and waiting did not help
│   └── ServerError           5xx on a read or a void, and retrying did not help
├── OutcomeUnknown            a change may or may not have happened; .readback shows how to check
├── LedgerError               the ledger cannot be read or written
│   └── PlanChanged           the run name was used for other rows; .differences lists them
├── ConfirmationRequired      a bulk change of production needs the number of rows
├── RunHalted                 a run was stopped for safety; .result has the results so far
├── AuditFileError            an exported audit is incomplete, damaged or not an audit
└── SandboxError              the local service did not start, or stopped
DataWarning                   (a UserWarning) values in a response could not be read and became missing
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
    """Rebuild an error from its pickle."""
    # Exception's own unpickling calls __init__ with the message only, which fails for errors that need more arguments.
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class SparkflyError(Exception):
    """Base class of all errors that the package raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.__dict__.copy())


class ConfigurationError(SparkflyError, ValueError):
    """A setting, an address or a credential cannot be used."""


class InvalidInput(SparkflyError, ValueError):
    """A value was rejected before anything was sent."""


class InvalidRows(InvalidInput):
    """Rows of a frame were rejected before anything was sent.

    Attributes
    ----------
    report : pandas.DataFrame
        One row per problem: ``row`` (the index label), ``column``, ``value``, ``problem``, ``fix``.
    """

    def __init__(self, message: str, report: pd.DataFrame) -> None:
        super().__init__(message)
        self.report = report


class ConnectionFailed(SparkflyError):
    """No connection was made, so the service did not process the request."""


class RequestFailed(SparkflyError):
    """A read or a void got no usable response, and retrying did not help."""


class UnreadableAnswer(RequestFailed):
    """A response arrived that does not match the API description."""


class IncompleteListing(RequestFailed):
    """A listing repeated a page, stopped early or changed while it was read. Partial listings are never returned."""


class ApiError(SparkflyError):
    """The service rejected the request.

    Attributes
    ----------
    status : int
        The HTTP status.
    reason : str
        The service's own message, or a standard message if the service sent none.
    trace : str or None
        The trace ID that Sparkfly's support asks for.
    method, path : str
        The request, without host and query string.
    """

    def __init__(self, status: int, reason: str, *, trace: str | None, method: str, path: str) -> None:
        # First, because logs and notebooks cut long messages, and support needs the trace ID.
        lead = f"[trace {trace}] " if trace else ""
        super().__init__(f"{lead}{status} on {method} {path}: {reason}")
        self.status = status
        self.reason = reason
        self.trace = trace
        self.method = method
        self.path = path


class AuthenticationError(ApiError):
    """401: the token or the credentials were not accepted. Nothing was processed."""


class PermissionDenied(ApiError):
    """403: these credentials have no permission for the operation."""


class NotFound(ApiError):
    """404: the member, offer state, offer or campaign does not exist."""


class Unprocessable(ApiError):
    """422: the service understood the request and rejected it, for example because of the offer state's status."""


class RateLimited(ApiError):
    """429: too many requests, and waiting did not help."""


class ServerError(ApiError):
    """5xx on a read or a void, and retrying did not help."""


class OutcomeUnknown(SparkflyError):
    """A change may or may not have happened. Check before you send the request again.

    Attributes
    ----------
    method, path : str
        The request, without host and query string.
    status : int or None
        The HTTP status, or None if no response arrived.
    readback : str
        A line of Python, ready to paste, that shows whether the change happened.
    """

    def __init__(self, why: str, *, method: str, path: str, status: int | None, readback: str) -> None:
        super().__init__(
            f"{method} {path}: {why}. The service may have acted. Before you send the request again, check with:\n"
            f"    {readback}"
        )
        self.method = method
        self.path = path
        self.status = status
        self.readback = readback


class LedgerError(SparkflyError):
    """The ledger cannot be read or written. Nothing was sent without being recorded first."""


class PlanChanged(LedgerError):
    """The name of a run was used before for other rows.

    Attributes
    ----------
    differences : pandas.DataFrame
        One row per difference: ``position``, ``column``, ``recorded``, ``now``.
    """

    def __init__(self, message: str, differences: pd.DataFrame) -> None:
        super().__init__(message)
        self.differences = differences


class ConfirmationRequired(SparkflyError):
    """A bulk change of production needs ``confirm=`` with the number of rows.

    Attributes
    ----------
    rows : int
        The number of rows to confirm.
    """

    def __init__(self, message: str, rows: int) -> None:
        super().__init__(message)
        self.rows = rows


class RunHalted(SparkflyError):
    """A run was stopped for safety before it finished.

    Attributes
    ----------
    result : pandas.DataFrame
        The result frame so far. Rows that were not sent have the outcome ``planned``.
    """

    def __init__(self, message: str, result: pd.DataFrame) -> None:
        super().__init__(message)
        self.result = result


class AuditFileError(SparkflyError):
    """An exported audit is incomplete, damaged or not an audit."""


class SandboxError(SparkflyError):
    """The local service did not start, or stopped."""


class DataWarning(UserWarning):
    """Values in a response could not be read and became missing. One warning per column, with count and examples."""


#: Statuses with an error class of their own. Other 4xx raise `ApiError`, 5xx raise `ServerError`.
API_ERRORS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    422: Unprocessable,
    429: RateLimited,
}
