"""The web server of the sandbox: routes, authentication, faults, and admin routes for tests."""

from __future__ import annotations

import asyncio
import hmac
import random
import secrets
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from aiohttp.web_exceptions import HTTPException

from ..api.endpoints import AUTH_PATH, ENDPOINTS, IDENTITY_HEADER, KEY_HEADER, TOKEN_HEADER, TOKEN_LIFETIME_S, Endpoint
from ..errors import InvalidInput
from .clock import to_text
from .faults import AUTH, FaultPlan, FaultTimes, alter_page, alter_record
from .operations import OperationResult, Service
from .responses import error, respond, send_broken, send_instead
from .validation import Given, Refusal, read_request, takes_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .clock import SandboxClock
    from .faults import Draw
    from .store import Store

__all__ = ["ADMIN_PATH", "ADMIN_SECRET_HEADER", "BASE_PATH", "HOST", "Sandbox"]

#: Loopback only, so that other machines cannot reach the sandbox.
HOST: Final = "127.0.0.1"
BASE_PATH: Final = "/v1.0"
ADMIN_PATH: Final = "/_sandbox"
ADMIN_SECRET_HEADER: Final = "X-Sandbox-Secret"  # noqa: S105 - the name of a header

_KEEPALIVE_S: Final = 300.0
_BODY_LIMIT: Final = 1_048_576
_PORT_POLL_S: Final = 0.05


class Sandbox:
    """A local Sparkfly service.

    Parameters
    ----------
    store : Store
        The members and offer states.
    clock : SandboxClock
        The current time.
    plan : FaultPlan, optional
        The faults, by default none.
    times : FaultTimes, optional
        The times that some faults use, in seconds.
    token_lifetime_s : float
        The lifetime of a token, in seconds.
    """

    def __init__(
        self,
        store: Store,
        clock: SandboxClock,
        *,
        plan: FaultPlan | None = None,
        times: FaultTimes | None = None,
        token_lifetime_s: float = TOKEN_LIFETIME_S,
    ) -> None:
        self.admin_secret = secrets.token_urlsafe(32)
        self.requests: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._store = store
        self._clock = clock
        self._plan = plan or FaultPlan()
        self._times = times or FaultTimes()
        self._token_lifetime_s = token_lifetime_s
        self._service = Service(store)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0
        self._refusing: asyncio.Task[None] | None = None

    # ---- starting and stopping ---------------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> int:
        """Listen on loopback and return the port. Port 0 picks a free one."""
        self._runner = web.AppRunner(
            self.application(), access_log=None, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=0.5
        )
        await self._runner.setup()
        await self._listen(port)
        self._port = int(self._runner.addresses[0][1])
        return self._port

    async def _listen(self, port: int) -> None:
        if self._runner is not None:
            self._site = web.TCPSite(self._runner, HOST, port, backlog=1024)
            await self._site.start()

    async def stop(self) -> None:
        """Stop listening, close all connections, and close the store."""
        if self._refusing is not None:
            self._refusing.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        self._store.close()

    def application(self) -> web.Application:
        """Build the routes of the eleven operations, of authentication, and of the admin commands."""
        app = web.Application(client_max_size=_BODY_LIMIT, middlewares=[_as_json])
        app.router.add_post(AUTH_PATH, self._authenticate)
        for endpoint in ENDPOINTS.values():
            app.router.add_route(endpoint.method, BASE_PATH + endpoint.path, self._handler(endpoint))
        for method, name, serve in (
            ("GET", "members", self._admin_members),
            ("GET", "merchant", self._admin_merchant),
            ("GET", "truth", self._admin_truth),
            ("POST", "faults", self._admin_faults),
            ("POST", "expire_tokens", self._admin_expire_tokens),
            ("POST", "refuse_connections", self._admin_refuse_connections),
        ):
            app.router.add_route(method, f"{ADMIN_PATH}/{name}", self._for_admin(serve))
        return app

    # ---- the service -------------------------------------------------------------------------------------------------

    async def _authenticate(self, request: web.Request) -> web.StreamResponse:
        self.requests[AUTH] += 1
        draw = self._plan.draw(AUTH)
        if "before" in draw.faults:
            return self._sent(await self._instead(request, draw))
        given = request.headers.get(IDENTITY_HEADER, ""), request.headers.get(KEY_HEADER, "")
        known = self._store.credentials
        # The list compares both values always, so that the time of the response does not depend on the first.
        if not all([_same(given[0], known.identity), _same(given[1], known.key)]):
            return self._sent(error(401, "Invalid credentials"))
        token = self._store.new_token(self._token_lifetime_s)
        return await self._send(request, draw, respond(204, None, {TOKEN_HEADER: token}))

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        has_body = takes_body(endpoint)
        has_trace = endpoint.effect == "void"

        async def serve(request: web.Request) -> web.StreamResponse:
            self.requests[endpoint.name] += 1
            if not self._store.accepts_token(request.headers.get(TOKEN_HEADER, "")):
                return self._sent(respond(401, None))
            body = await request.read() if has_body and request.can_read_body else b""
            draw = self._plan.draw(endpoint.name, request.raw_path.encode(errors="surrogateescape"), body)
            if "before" in draw.faults:
                return self._sent(await self._instead(request, draw))
            # No await from here to the response, so that a client that disconnects cannot cancel a change halfway.
            try:
                given = read_request(endpoint, request.match_info, request.query.items(), body)
                result = self._act(endpoint, given, draw)
            except Refusal as refusal:
                response = error(refusal.status, str(refusal), with_trace=has_trace)
            else:
                response = respond(result.status, result.payload, self._date(draw))
            return await self._send(request, draw, response)

        return serve

    def _act(self, endpoint: Endpoint, given: Given, draw: Draw) -> OperationResult:
        now = self._clock.now(self._times.skew_s if self._hits(draw, "clock") else 0.0)
        result = self._service.perform(endpoint.name, given, now)
        if self._hits(draw, "acting"):  # the fault "duplicate"
            self._service.perform(endpoint.name, given, now)
        if result.payload is None:
            return result
        payload = result.payload
        if "page" in draw.faults:

            def fetch(page: int) -> dict[str, Any]:
                other = given._replace(query={**given.query, "page": page})
                return self._service.perform(endpoint.name, other, now).payload or {}

            altered = alter_page(draw.faults["page"], payload, fetch)
            # Count the fault only if the page was large enough for it.
            if altered is not None:
                self._hits(draw, "page")
                payload = altered
        if self._hits(draw, "content"):
            luck = random.Random(draw.luck)  # noqa: S311 - repeatable, not secret
            name = draw.faults["content"]
            if "offer_states" in payload:
                payload = {**payload, "offer_states": [alter_record(name, e, luck) for e in payload["offer_states"]]}
            else:
                payload = alter_record(name, payload, luck)
        return OperationResult(result.status, payload)

    def _hits(self, draw: Draw, stage: str) -> bool:
        """Return whether a fault of a stage affects the request, and count it."""
        if stage not in draw.faults:
            return False
        self._plan.counts[draw.faults[stage]] += 1
        return True

    async def _instead(self, request: web.Request, draw: Draw) -> web.Response:
        self._hits(draw, "before")
        fault = draw.faults["before"]
        if fault == "token_revoked":
            self._store.expire_tokens(request.headers.get(TOKEN_HEADER, ""))  # only the token of this client
        elif fault == "connection_refused" and self._refusing is None:
            await self._refuse(self._times.refuse_s, request)
        return send_instead(request, fault, self._times)

    def _date(self, draw: Draw) -> dict[str, str] | None:
        if "clock" not in draw.faults:
            return None
        return {"Date": self._clock.now(self._times.skew_s).strftime("%a, %d %b %Y %H:%M:%S GMT")}

    async def _send(self, request: web.Request, draw: Draw, response: web.Response) -> web.StreamResponse:
        fault = draw.faults.get("response")
        is_success = response.status < 300
        if fault is None or (fault in {"wrong_content_type", "unreadable_2xx"} and not is_success):
            return self._sent(response)
        self._hits(draw, "response")
        return self._sent(await send_broken(request, fault, response, self._times))

    def _sent(self, response: web.StreamResponse) -> web.StreamResponse:
        self.answers[str(response.status)] += 1
        return response

    # ---- admin routes ------------------------------------------------------------------------------------------------

    def _for_admin(
        self, serve: Callable[[web.Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            if not _same(request.headers.get(ADMIN_SECRET_HEADER, ""), self.admin_secret):
                return error(403, f"the header {ADMIN_SECRET_HEADER} is missing or wrong")
            try:
                return respond(200, await serve(request))
            except (InvalidInput, LookupError, TypeError, ValueError) as problem:
                return error(422, str(problem))

        return guarded

    async def _admin_members(self, request: web.Request) -> dict[str, Any]:
        count = request.query.get("n")
        return {"members": [member._asdict() for member in self._store.members(int(count) if count else None)]}

    async def _admin_merchant(self, _request: web.Request) -> dict[str, Any]:
        return {
            name: [asdict(entry) for entry in entries.values()]
            for name, entries in (
                ("offers", self._store.offers),
                ("campaigns", self._store.campaigns),
                ("channels", self._store.channels),
            )
        }

    async def _admin_truth(self, request: web.Request) -> dict[str, Any]:
        states = self._store.all_states(generated=request.query.get("generated") != "no")
        for state in states:
            campaign = self._store.campaigns.get(state["campaign_id"])
            state["campaign_xid"] = campaign.campaign_xid if campaign else None
            state["generated"] = state["offer_state_id"] <= self._store.generated_up_to
            state["activities"] = orjson.loads(state["activities"])
        return {
            "now": to_text(self._clock.now()),
            "cpu_s": time.process_time(),
            "offer_states": states,
            "requests": dict(self.requests),
            "answers": dict(self.answers),
            "faults": dict(self._plan.counts),
        }

    async def _admin_faults(self, request: web.Request) -> dict[str, Any]:
        wanted = orjson.loads(await request.read())
        plan = FaultPlan(wanted["rates"], seed=wanted["seed"])
        plan.counts.update(self._plan.counts)
        times = FaultTimes(**{**asdict(self._times), **wanted["times"]})
        self._plan, self._times = plan, times
        return {}

    async def _admin_expire_tokens(self, _request: web.Request) -> dict[str, Any]:
        self._store.expire_tokens()
        return {}

    async def _admin_refuse_connections(self, request: web.Request) -> dict[str, Any]:
        for_s = float(orjson.loads(await request.read())["for_s"])
        if self._refusing is not None:
            raise InvalidInput("the sandbox refuses connections already; wait until it accepts them again")
        await self._refuse(for_s, request)
        return {}

    async def _refuse(self, for_s: float, request: web.Request) -> None:
        """Refuse new connections for `for_s` seconds, and close all but the connection of this request."""
        if self._site is None or self._runner is None or self._runner.server is None:
            return
        await self._site.stop()
        for connection in self._runner.server.connections:
            if connection is not request.protocol:
                connection.force_close()
        self._refusing = asyncio.create_task(self._listen_again(for_s))

    async def _listen_again(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            try:
                await self._listen(self._port)
            except OSError:  # an outgoing connection of another process got the port in the meantime
                await asyncio.sleep(_PORT_POLL_S)
            else:
                break
        self._refusing = None


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), known.encode())


@web.middleware
async def _as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Send aiohttp's own errors, such as those for an unknown path or method, in the service's format."""
    try:
        return await handler(request)
    except HTTPException as refused:
        response = error(refused.status, f"{refused.reason} - {refused.reason.lower()}")
        response.headers.extend((name, text) for name, text in refused.headers.items() if name == "Allow")
        return response
    except web.RequestPayloadError:
        return error(422, "the body cannot be read")
