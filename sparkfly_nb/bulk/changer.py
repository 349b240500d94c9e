"""One row that changes something: sent, judged, and sent again only where the service surely did not act."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ..endpoints import Endpoint, Request, Verdict, assemble, judge, read_json, read_receipt, read_refusal
from ..errors import UnreadableAnswer
from .job import Outcome, Row, SendReport
from .wire import Answer, Lost, NotSent, Wire

if TYPE_CHECKING:
    from ..retry import RetryPolicy
    from .operations import Operation
    from .pace import Pace

__all__ = ["Changer"]

HALT_AFTER_ROWS: Final = 50
"""So many rows must have ended before their failures can halt a run."""


class Changer:
    """Sends the rows of one shard and keeps the report."""

    def __init__(
        self, wire: Wire, pace: Pace, policy: RetryPolicy, operation: Operation, halt_above: float, report: SendReport
    ) -> None:
        self._wire = wire
        self._pace = pace
        self._policy = policy
        self._operation = operation
        self._halt_above = halt_above
        self._failures = 0
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
        if outcome.outcome != self._operation.done:
            self._failures += 1
            ended = len(self.report.outcomes)
            if ended >= HALT_AFTER_ROWS and self._failures > self._halt_above * ended:
                self.report.tripped = f"{self._failures} of {ended} rows failed; the last one: {outcome.error}"
                return False
        return True

    async def _send(self, lane: int, row: Row, endpoint: Endpoint, request: Request) -> Outcome | None:
        """Give the outcome, or None where the row was surely not processed and is handed back."""
        attempts, lost, status = 0, "", None
        began = time.monotonic()
        while True:
            attempts += 1
            hindrance, slow_down, retry_after_s = "", False, None
            try:
                answer = await self._wire.ask(request)
            except NotSent as fault:
                hindrance = str(fault)
            except Lost as fault:
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
                self._pace.slow_down(pause_s or retry_after_s or 0.0)
            if pause_s is None or not await self._pace.turn_after(lane, 0.0 if slow_down else pause_s):
                self.report.hindrance = hindrance or self.report.hindrance
                return self._unsent(row, lost, status, attempts)
        return Outcome(row.position, "unknown", status, lost, None, attempts)

    def _unsent(self, row: Row, lost: str, status: int | None, attempts: int) -> Outcome | None:
        """Hand a row back, unless an earlier attempt may have been processed."""
        return Outcome(row.position, "unknown", status, lost, None, attempts) if lost else None

    def _outcome(self, row: Row, endpoint: Endpoint, verdict: Verdict, answer: Answer, attempts: int) -> Outcome:
        if verdict is Verdict.DONE:
            self._pace.speed_up()
            if endpoint.answer == "nothing":
                return _done(row, self._operation.done, answer.status, attempts, {})
            try:
                record = read_receipt(read_json(answer.body))
            except UnreadableAnswer as fault:
                return Outcome(row.position, "unknown", answer.status, str(fault), None, attempts)
            strange = _contradiction(row.sent, record)
            if strange:
                return Outcome(row.position, "unknown", answer.status, strange, None, attempts)
            return _done(row, self._operation.done, answer.status, attempts, record)
        reason, trace = read_refusal(answer.status, answer.body)
        if verdict is Verdict.ALREADY:
            outcome = _done(row, self._operation.done, answer.status, attempts, {})
            return outcome._replace(error=f"already voided: {reason}", trace=trace)
        word = "rejected" if verdict is Verdict.REFUSED else "unknown"
        return Outcome(row.position, word, answer.status, reason, trace, attempts)


_ENDS: Final = frozenset({Verdict.DONE, Verdict.ALREADY, Verdict.REFUSED, Verdict.UNKNOWN})


def _contradiction(sent: dict[str, Any], record: dict[str, Any]) -> str:
    """Say how an answer contradicts the row that was sent: then it proves nothing."""
    for asked, answered in (("member_id", "member_id"), ("offerstate_id", "offer_state_id")):
        if asked in sent and record.get(answered) is not None and str(record[answered]) != str(sent[asked]):
            return f"the answer names {answered} {str(record[answered])[:40]}, not {sent[asked]}"
    return ""


def _done(row: Row, word: str, status: int, attempts: int, record: dict[str, Any]) -> Outcome:
    """Make the outcome of a row that was carried out, from the answer and from what was sent."""
    sent = row.sent
    return Outcome(
        row.position,
        word,
        status,
        None,
        None,
        attempts,
        "response",
        _integer(record.get("offer_state_id", sent.get("offerstate_id"))),
        _integer(record.get("member_id", sent.get("member_id"))),
        _integer(record.get("offer_id")),
        _text(record.get("credential_identifier")),
        _text(record.get("activates_at")),
        _text(record.get("expires_at")),
    )


def _integer(value: object) -> int | None:
    """Take a 64-bit id; anything else is missing."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _text(value: object) -> str | None:
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else None
