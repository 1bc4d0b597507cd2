"""What each path of the protocol does: bytes to a Request, a Response to bytes, and nothing between."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from multidict import istr

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.listeners.front import NAME, VERSION, Front
from gateway.listeners.http_answers import Answer, Answers
from gateway.listeners.http_body import HttpRefusal, read_body
from gateway.listeners.settings import HttpSettings
from gateway.wire import headers
from gateway.wire.arrival import Arrival, Claims
from gateway.wire.oip_json import Wishes, decode_request, encode_response, parse_header_length
from gateway.wire.oip_metadata import (
    LIVE,
    READY,
    encode_error,
    encode_model,
    encode_model_ready,
    encode_not_ready,
    encode_server,
)
from gateway.wire.oip_paths import Ask, Target, parse_path

_log = logging.getLogger(__name__)

_SERVER: Final = encode_server(NAME, VERSION)
_NOT_READY: Final = encode_not_ready()
_FULL: Final = Refused("admission", "concurrency")
_PATHS: Final = 1024
_LONGEST_PATH: Final = 256

_HEADER_LENGTH: Final = istr(headers.INFERENCE_HEADER_LENGTH)
_TIMEOUT_MS: Final = istr(headers.TIMEOUT_MS)
_FORWARDED_FOR: Final = istr(headers.FORWARDED_FOR)
_TENANT: Final = istr(headers.TENANT)
_HOPS: Final = istr(headers.HOPS)
_REGIONS: Final = istr(headers.REGIONS)
_AUTHORIZATION: Final = istr(headers.AUTHORIZATION)
_SINGLE: Final = (_TENANT, _AUTHORIZATION, _HOPS, _REGIONS, _TIMEOUT_MS)
_TRACE: Final = tuple((istr(name), name) for name in headers.TRACE)


class Endpoints:
    """The handler of every HTTP request."""

    def __init__(self, front: Front, settings: HttpSettings) -> None:
        self._front = front
        self._settings = settings
        self._answers = Answers(front.region, front.clock)
        # Paths repeat; the bounds keep a flood of new ones from growing this.
        self._target = lru_cache(_PATHS)(parse_path)

    def __repr__(self) -> str:
        return f"<Endpoints of {self._front.region}>"

    async def __call__(self, request: web.BaseRequest) -> Answer:
        """Answer; every failure but a lost connection ends in an answer."""
        generation = self._front.generation()
        try:
            return await self._answer(request, generation)
        except GatewayError as error:
            response = self._answers.error(error, generation.number)
        except HttpRefusal as refusal:
            self._front.telemetry.emit(Refused("http", str(refusal.status)))
            response = self._answers.json(
                encode_error(refusal.message), generation.number, refusal.status, refusal.headers
            )
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and not a traceback
            _log.exception("an HTTP request failed unexpectedly")
            response = self._answers.error(GatewayError(Fault.INTERNAL, "internal error"), generation.number)
        if not request.content.is_eof():
            # Where the next request would begin is not worth finding out.
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest, generation: Generation) -> Answer:
        path = request.raw_path
        if not path.startswith("/"):
            path = request.rel_url.raw_path  # absolute form: http://host/v2
        target = self._target(path) if len(path) <= _LONGEST_PATH else parse_path(path)
        if target is None:
            raise HttpRefusal(404, "Not Found")
        if target.ask is Ask.INFER:
            _allow(request, "POST")
            return await self._infer(request, target, generation)
        _allow(request, "GET", "HEAD")
        return await self._tell(target, generation.number)

    async def _infer(self, request: web.BaseRequest, target: Target, generation: Generation) -> Answer:
        now = self._front.clock.now()
        if self._front.is_full():
            self._front.telemetry.emit(_FULL)
            raise GatewayError(Fault.OVERLOADED, "too many requests are under way; try again later")
        body = await read_body(request, self._front.max_body_bytes, self._settings.body_timeout_s)
        try:
            call, wishes = self._decode(request, target, body, now)
        except GatewayError as error:
            self._front.telemetry.emit(Refused("http", error.fault))
            raise
        response = await generation(call)
        return self._answers.inference(
            encode_response(response, wishes, call.id), response.provenance, generation.number
        )

    def _decode(
        self, request: web.BaseRequest, target: Target, body: bytes, now: float
    ) -> tuple[Request, Wishes]:
        said = request.headers
        inference = decode_request(body, parse_header_length(said.get(_HEADER_LENGTH)))
        timeout_s = inference.timeout_s
        if (milliseconds := said.get(_TIMEOUT_MS)) is not None:
            timeout_s = min(timeout_s, headers.parse_timeout_ms(milliseconds))
        arrival = self._arrival(request)
        call = Request(
            model=target.model,
            inputs=inference.inputs,
            id=inference.id,
            version=target.version,
            outputs=inference.outputs,
            parameters=inference.parameters,
            caller=arrival.caller,
            deadline=now + timeout_s,
            regions=arrival.regions,
            hops=arrival.hops,
            trace=tuple((name, said[header]) for header, name in _TRACE if header in said),
        )
        return call, inference.wishes

    def _arrival(self, request: web.BaseRequest) -> Arrival:
        said = request.headers
        # A proxy that appends instead of replacing would otherwise let its clients choose.
        for name in _SINGLE:
            if name in said and len(said.getall(name)) > 1:
                raise GatewayError(Fault.INVALID, f"the header {name} is given more than once")
        claims = Claims(
            ",".join(said.getall(_FORWARDED_FOR, ())),
            said.get(_TENANT, ""),
            said.get(_AUTHORIZATION, ""),
            said.get(_HOPS, ""),
            said.get(_REGIONS, ""),
        )
        # A UNIX socket's peer has no address.
        return self._front.trust.arrive(request.remote or "", claims)

    async def _tell(self, target: Target, generation: int) -> Answer:
        answers = self._answers
        match target.ask:
            case Ask.LIVE:
                return answers.json(LIVE, generation)
            case Ask.READY:
                if self._front.is_ready():
                    return answers.json(READY, generation)
                return answers.json(_NOT_READY, generation, 503)
            case Ask.MODEL:
                spec = await self._front.catalog.describe(target.model, target.version)
                return answers.json(encode_model(spec), generation)
            case Ask.MODEL_READY:
                ready = await self._front.catalog.is_ready(target.model, target.version)
                return answers.json(
                    encode_model_ready(target.model, ready=ready), generation, 200 if ready else 503
                )
            case _:
                return answers.json(_SERVER, generation)


def _allow(request: web.BaseRequest, *verbs: str) -> None:
    if request.method not in verbs:
        raise HttpRefusal(405, "Method Not Allowed", {hdrs.ALLOW: ", ".join(verbs)})
