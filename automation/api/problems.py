"""Every error of the API as an RFC 9457 problem document, from one place (R-056)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions
from rest_framework.request import Request

from automation.api import rejections
from automation.api.faults import Fault, RejectedError
from automation.request_id import request_id

log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """One kind of problem; its name is the anchor of its description in the docs."""

    status: int
    title: str
    meaning: str  # What happened and what to do, for the docs.


KINDS: Final[Mapping[str, Kind]] = {
    "validation": Kind(
        400,
        "The event was not accepted",
        "Something in the body is not as it must be. `errors` names every place as a JSON pointer and says"
        " what to send instead. Sending the same again will fail again.",
    ),
    "unauthenticated": Kind(
        401,
        "The key is missing or not valid",
        "Send a write key as `Authorization: Bearer bk_live_…`, as `X-Api-Key`, or as the user name of Basic"
        " authentication. A key may also have been revoked or have expired.",
    ),
    "forbidden": Kind(
        403, "The key may not do this", "The key is valid but lacks the scope that this address needs."
    ),
    "not-found": Kind(
        404,
        "There is nothing here",
        "The address or the id is not known, or belongs to another source than your key.",
    ),
    "method-not-allowed": Kind(
        405, "This method is not allowed here", "The header `Allow` lists the methods."
    ),
    "conflict": Kind(
        409,
        "This message_id was used for another event",
        "An id names one event for ever. A retry must send the same body; a new event needs a new id.",
    ),
    "length-required": Kind(411, "The length of the body is not known", "Send `Content-Length`."),
    "too-large": Kind(
        413,
        "The body is too large",
        "A body may have 1 MB, also after unpacking, and may not unpack to more than 100 times its size.",
    ),
    "unsupported-media-type": Kind(
        415,
        "The body is not in a form that can be read",
        "Send JSON as `Content-Type: application/json` in UTF-8, plain or with `Content-Encoding: gzip`.",
    ),
    "too-many-requests": Kind(
        429,
        "Too many requests",
        "Wait as many seconds as `Retry-After` says, then go on; nothing was stored.",
    ),
    "internal": Kind(
        500,
        "Something went wrong on our side",
        "The fault is ours and is logged under `request_id`. Retrying with the same message_id is safe.",
    ),
    "unavailable": Kind(
        503,
        "Events cannot be accepted just now",
        "The database is unreachable, or so much work waits that more would be late; the least urgent events"
        " are refused first. Retry all of it after as many seconds as `Retry-After` says, with the same"
        " message_ids: what was stored already is then a duplicate, and nothing happens twice.",
    ),
}
_BY_STATUS: Final = {kind.status: name for name, kind in KINDS.items()}
RETRY_SECONDS = 5


class ProblemError(Exception):
    """Answer the request with a problem of `kind`."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.faults = faults


def unavailable(detail: str) -> ProblemError:
    """503 with Retry-After."""
    return ProblemError("unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def respond(request: HttpRequest | None, problem: ProblemError) -> HttpResponse:
    """The problem document. `code` and `message` repeat it for clients that speak Segment's shape."""
    kind = KINDS[problem.kind]
    document: dict[str, Any] = {
        "type": f"{settings.PUBLIC_URL}/api/docs/#{problem.kind}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": request.path if request is not None else "",
        "request_id": request_id.get(),
        "code": problem.kind.replace("-", "_"),
        "message": problem.detail or kind.title,
    }
    if problem.faults:
        document["errors"] = [fault.document() for fault in problem.faults]
    return HttpResponse(
        msgspec.json.encode(_readable(document)),
        status=kind.status,
        content_type="application/problem+json",
        headers=problem.headers,
    )


def _readable(value: Any) -> Any:
    """What a sender wrote is quoted as it can be written out: half of a surrogate pair as \\ud800."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _readable(part) for key, part in value.items()}
    return [_readable(part) for part in value] if isinstance(value, list) else value


def answer(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler: any exception becomes a problem, an unforeseen one without its details."""
    request, problem = context.get("request"), _problem(error)
    if isinstance(request, Request):
        rejections.note(request, KINDS[problem.kind].status, problem.kind, problem.faults, problem.detail)
    return respond(getattr(request, "_request", request), problem)


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RejectedError):
        count = len(error.faults)
        detail = "1 place needs attention." if count == 1 else f"{count} places need attention."
        return ProblemError("validation", detail, faults=error.faults)
    if isinstance(error, (OperationalError, InterfaceError)):
        log.warning("the database did not take a request", exc_info=error)
        return unavailable("The database does not answer.")
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        # DRF turns these into 403 when a view names no authentication; here a missing key is always 401.
        return ProblemError(
            "unauthenticated", str(error.detail), headers={"WWW-Authenticate": 'Bearer realm="beckon"'}
        )
    if isinstance(error, (Http404, exceptions.NotFound)):
        return ProblemError("not-found", "There is nothing at this address.")
    if isinstance(error, UnreadablePostError):
        return ProblemError("validation", "The body broke off.")
    if isinstance(error, (PermissionDenied, exceptions.PermissionDenied)):
        return ProblemError("forbidden", str(getattr(error, "detail", "")) or KINDS["forbidden"].title)
    if isinstance(error, exceptions.MethodNotAllowed):
        return ProblemError("method-not-allowed", str(error.detail))
    if isinstance(error, exceptions.APIException) and error.status_code < 500:
        return ProblemError(_BY_STATUS.get(error.status_code, "validation"), str(error.detail))
    log.error("unhandled error in the API", exc_info=error, extra={"quotes_data": True})
    return ProblemError("internal", "The error has been logged.")


def is_api(request: HttpRequest) -> bool:
    """Whether a program rather than a person reads the answer."""
    return request.path.startswith(("/api/", "/v1/"))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404: a problem for programs, Django's page for people."""
    if is_api(request):
        return respond(request, _problem(Http404()))
    return defaults.page_not_found(request, exception or Http404())


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: the same for errors outside the API's views; Django has logged them."""
    if is_api(request):
        return respond(request, ProblemError("internal", "The error has been logged."))
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler400: what Django itself refuses, for example an unknown host name."""
    if is_api(request):
        return respond(request, ProblemError("validation", "The request itself is not acceptable."))
    return defaults.bad_request(request, exception or Exception())
