"""One row that changes something: sent, and sent again only if that cannot make it happen twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...api.attempts import Action, Attempts, Step
from ...api.request import assemble
from ...api.response import id_in, in_words, read_refusal, read_success
from ...errors import UnreadableAnswer
from ...http.async_client import AsyncClient, AsyncResponse, RequestNotSent, ResponseLost
from ..circuit_breaker import CircuitBreaker
from ..records import Outcome, Row, done_outcome

if TYPE_CHECKING:
    from ...api.endpoints import Endpoint
    from ...api.retry_policy import RetryPolicy
    from ..operations import Operation
    from .messages import SendReport
    from .pacing import Pacer

__all__ = ["RowSender"]

#: Rows that were carried out are counted together in groups of this size. A failure is counted at once, because it can
#: halt the run.
COUNTED_ROWS: Final = 50
_FINAL: Final = frozenset({Action.DONE, Action.ALREADY, Action.REFUSED, Action.UNKNOWN})


class RowSender:
    """Sends the rows of one shard and keeps the report."""

    def __init__(
        self,
        client: AsyncClient,
        pacer: Pacer,
        policy: RetryPolicy,
        operation: Operation,
        halt_above: float,
        report: SendReport,
    ) -> None:
        self._client = client
        self._pacer = pacer
        self._policy = policy
        self._operation = operation
        self._breaker = CircuitBreaker(operation.done, halt_above)
        self._uncounted = 0
        self.report = report

    async def send(self, lane: int, row: Row) -> bool:
        """Send one row until its outcome is known, or lost, or the row is handed back unsent.

        Returns
        -------
        bool
            False if the shard must end.
        """
        outcome = await self._outcome_of(lane, row)
        if outcome is None:
            return False
        self.report.outcomes.append(outcome)
        self._uncounted += 1
        if outcome.outcome == self._operation.done and self._uncounted < COUNTED_ROWS:
            return True
        latest = self.report.outcomes[-self._uncounted :]
        self._uncounted = 0
        self.report.tripped = self.report.tripped or self._breaker.count(latest)
        return self.report.tripped is None

    async def _outcome_of(self, lane: int, row: Row) -> Outcome | None:
        """Send a row, and return its outcome, or None if the service did not process it and it is handed back."""
        endpoint = self._operation.endpoint_for(row.sent)
        request = assemble(endpoint, row.sent)
        attempts = Attempts(endpoint, self._policy)
        lost: tuple[int | None, str] | None = None  # the last attempt that the service may have processed
        while True:
            hindrance = None
            try:
                response = await self._client.send(request)
            except RequestNotSent as failure:
                step, hindrance = attempts.no_response(sent=False), str(failure)
            except ResponseLost as failure:
                step, lost = attempts.no_response(sent=True), (None, str(failure))
            else:
                step = attempts.response(response.status, _honored_retry_after_s(response))
                if step.action in _FINAL:
                    return self._final_outcome(row, endpoint, step, response, attempts.count)
                if step.action is Action.AUTHENTICATE:
                    self.report.unauthenticated = True
                    break
                reason = f"{response.status} {read_refusal(response.status, response.body)[0]}"
                if step.slow_down:
                    hindrance = reason
                else:
                    lost = response.status, reason
            if step.action is Action.UNKNOWN:
                break
            if step.slow_down:
                self._pacer.slow_down(step.delay_s)
            delay_s = 0.0 if step.slow_down else step.delay_s  # a slow-down delays all lanes, this one included
            if step.action is Action.GIVE_UP or not await self._pacer.turn_after(lane, delay_s):
                self.report.hindrance = hindrance or self.report.hindrance
                break
        if lost is None:
            return None
        return Outcome(row.position, "unknown", *lost, None, attempts.count)

    def _final_outcome(
        self, row: Row, endpoint: Endpoint, step: Step, response: AsyncResponse, attempts: int
    ) -> Outcome:
        if step.action is Action.DONE:
            self._pacer.speed_up()
            try:
                record: dict[str, Any] = read_success(endpoint, response.body) or {}
            except UnreadableAnswer as flaw:
                # Not resent, not even a void: the row is checked against the service, which is certain.
                return Outcome(row.position, "unknown", response.status, str(flaw), None, attempts)
            contradiction = _contradiction(row.sent, record)
            if contradiction:
                return Outcome(row.position, "unknown", response.status, contradiction, None, attempts)
            return self._done(row, record, response.status, attempts)
        reason, trace = read_refusal(response.status, response.body)
        if step.action is Action.ALREADY:
            return self._done(row, {}, response.status, attempts, error=f"already voided: {reason}", trace=trace)
        if step.slow_down:
            self._pacer.slow_down(step.delay_s)
        outcome = "rejected" if step.action is Action.REFUSED else "unknown"
        return Outcome(row.position, outcome, response.status, reason, trace, attempts)

    def _done(self, row: Row, record: dict[str, Any], status: int, attempts: int, **told: str | None) -> Outcome:
        outcome = self._operation.done
        return done_outcome(row, outcome, record, settled_by="response", http_status=status, attempts=attempts, **told)


def _honored_retry_after_s(response: AsyncResponse) -> float | None:
    """Return the delay that a response asks all lanes to keep."""
    # A delay of one row alone would end with its shard, after seconds. A void that met another 5xx is therefore sent
    # again at the pace of the policy.
    return response.retry_after_s if response.status in (429, 503) else None


def _contradiction(sent: dict[str, Any], record: dict[str, Any]) -> str:
    """Describe how a response contradicts the row that was sent, which means that it proves nothing."""
    for asked, answered in (("member_id", "member_id"), ("offerstate_id", "offer_state_id")):
        if asked in sent and record.get(answered) is not None and id_in(record[answered]) != sent[asked]:
            return f"the response names {answered} {in_words(record[answered])}, not {sent[asked]}"
    return ""
