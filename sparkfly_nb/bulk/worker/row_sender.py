"""One row that changes something: sent, judged, and sent again only where the service surely did not act."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ...api.request import Request, assemble
from ...api.response import Verdict, in_words, judge, read_refusal, read_success
from ...errors import UnreadableAnswer
from ...http.async_client import AsyncClient, AsyncResponse, RequestNotSent, ResponseLost
from ..circuit_breaker import CircuitBreaker
from .messages import Outcome, Row, SendReport
from .outcomes import done, integer_in

if TYPE_CHECKING:
    from ...api.endpoints import Endpoint
    from ...api.retry_policy import RetryPolicy
    from ..operations import Operation
    from .pacing import Pacer

__all__ = ["RowSender"]

COUNTED_ROWS: Final = 50
"""So many rows in a row that were carried out are counted together; a failure is counted at once."""


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
        """Send one row until its outcome is known, lost, or the row must be handed back unsent.

        Returns
        -------
        bool
            False when the shard must end.
        """
        endpoint = self._operation.endpoint_for(row.sent)
        outcome = await self._send(lane, row, endpoint, assemble(endpoint, row.sent))
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

    async def _send(self, lane: int, row: Row, endpoint: Endpoint, request: Request) -> Outcome | None:
        """Give the outcome, or None where the row was surely not processed and is handed back."""
        attempts, lost, status = 0, "", None
        began = time.monotonic()
        while True:
            attempts += 1
            hindrance, slow_down, retry_after_s = "", False, None
            try:
                answer = await self._client.send(request)
            except RequestNotSent as fault:
                hindrance = str(fault)
            except ResponseLost as fault:
                lost, status = str(fault), None
                if endpoint.effect == "change":
                    break
            else:
                verdict = judge(endpoint, answer.status, has_retry_after=answer.has_retry_after)
                if verdict in _ENDS:
                    return self._outcome(row, endpoint, verdict, answer, attempts)
                if verdict is Verdict.UNAUTHENTICATED:
                    self.report.unauthenticated = True
                    return self._unsent(row, lost, status, attempts)
                if verdict is Verdict.SLOW_DOWN:
                    hindrance = f"{answer.status} {read_refusal(answer.status, answer.body)[0]}"
                    slow_down, retry_after_s = True, answer.retry_after_s
                else:
                    lost, status = f"{answer.status} {read_refusal(answer.status, answer.body)[0]}", answer.status
            pause_s = self._policy.pause_s(attempts, time.monotonic() - began, retry_after_s)
            if slow_down:
                self._pacer.slow_down(pause_s or retry_after_s or 0.0)
            if pause_s is None or not await self._pacer.turn_after(lane, 0.0 if slow_down else pause_s):
                self.report.hindrance = hindrance or self.report.hindrance
                return self._unsent(row, lost, status, attempts)
        return Outcome(row.position, "unknown", status, lost, None, attempts)

    def _unsent(self, row: Row, lost: str, status: int | None, attempts: int) -> Outcome | None:
        """Hand a row back, unless an earlier attempt may have been processed."""
        return Outcome(row.position, "unknown", status, lost, None, attempts) if lost else None

    def _outcome(self, row: Row, endpoint: Endpoint, verdict: Verdict, answer: AsyncResponse, attempts: int) -> Outcome:
        if verdict is Verdict.DONE:
            self._pacer.speed_up()
            try:
                record: dict[str, Any] = read_success(endpoint, answer.body) or {}
            except UnreadableAnswer as fault:
                return Outcome(row.position, "unknown", answer.status, str(fault), None, attempts)
            strange = _contradiction(row.sent, record)
            if strange:
                return Outcome(row.position, "unknown", answer.status, strange, None, attempts)
            return self._done(row, record, answer.status, attempts)
        reason, trace = read_refusal(answer.status, answer.body)
        if verdict is Verdict.ALREADY:
            return self._done(row, {}, answer.status, attempts, error=f"already voided: {reason}", trace=trace)
        if answer.status == 503:  # whether it did this one or not, it wants to be asked less
            self._pacer.slow_down(self._policy.pause_s(attempts, 0.0) or 0.0)
        word = "rejected" if verdict is Verdict.REFUSED else "unknown"
        return Outcome(row.position, word, answer.status, reason, trace, attempts)

    def _done(self, row: Row, record: dict[str, Any], status: int, attempts: int, **told: str | None) -> Outcome:
        word = self._operation.done
        return done(row, word, record, settled_by="response", http_status=status, attempts=attempts, **told)


_ENDS: Final = frozenset({Verdict.DONE, Verdict.ALREADY, Verdict.REFUSED, Verdict.UNKNOWN})


def _contradiction(sent: dict[str, Any], record: dict[str, Any]) -> str:
    """Say how an answer contradicts the row that was sent: then it proves nothing."""
    for asked, answered in (("member_id", "member_id"), ("offerstate_id", "offer_state_id")):
        if asked in sent and record.get(answered) is not None and integer_in(record[answered]) != sent[asked]:
            return f"the answer names {answered} {in_words(record[answered])}, not {sent[asked]}"
    return ""
