"""POST /v1/…: the addresses that Segment's, RudderStack's and similar clients call, unmodified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.http import HttpResponse
from django.urls import URLPattern, re_path
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from automation.api import pressure, rejections, segment
from automation.api.base import ApiView, json, key_of_request
from automation.api.body import body_of
from automation.api.documents import SETTINGS_GET, segment_post
from automation.api.faults import Fault, RejectedError
from automation.api.keys import key_of
from automation.api.limits import UNDECODABLE, loaded
from automation.api.problems import ProblemError, unavailable
from automation.api.throttle import spend_failure
from automation.models.keys import WriteKey
from automation.pipeline.ingest import Incoming, ingest

FAULTS_SHOWN = 50


class _Named(msgspec.Struct):
    writeKey: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class TrackingView(ApiView):
    """One call, or with an empty `kind` a batch of calls."""

    required_scope = WriteKey.Scope.EVENTS_WRITE.value
    kind = ""
    is_browser = False
    is_import = False

    def token_in_body(self, request: Request) -> str:
        """`writeKey`, which needs no preflight. Only then the body is read before the key is known."""
        body = body_of(request, is_text_allowed=True)
        try:
            return _NAMED.decode(body).writeKey or ""
        except UNDECODABLE:
            value = loaded(body)
            named = value.get("writeKey") if isinstance(value, dict) else None
            return named if isinstance(named, str) else ""

    def post(self, request: Request) -> HttpResponse:
        """200 `{"success": true}` after the commit: some clients take nothing else for success."""
        pressure.check()
        body = body_of(request, is_text_allowed=True)
        sent = segment.Sent(datetime.now(UTC), is_browser=self.is_browser, is_import=self.is_import)
        if self.kind:
            item = segment.read(body, sent, self.kind)
            if pressure.busy([item]):
                raise unavailable(pressure.reason())
            accepted = ingest([item], source=key_of_request(request).source)[0]
            if accepted.is_conflict:
                raise ProblemError("conflict", "This messageId was used for another call.")
            return json({"success": True})
        pieces, sent = segment.batch_of(body, sent)
        document, faults = _many(pieces, sent, key_of_request(request).source)
        if faults:
            rejections.note(request, 400, "validation", faults)
        return json(document)


def _many(pieces: list[bytes], sent: segment.Sent, source: str) -> tuple[dict[str, Any], list[Fault]]:
    """The answer, and the faults of what was rejected."""
    good: list[tuple[int, Incoming]] = []
    faults: list[Fault] = []
    rejected: list[dict[str, Any]] = []
    for index, piece in enumerate(pieces):
        try:
            good.append((index, segment.read(piece, sent)))
        except RejectedError as error:
            faults += [fault.under(f"/batch/{index}") for fault in error.faults]
            rejected.append(
                {"status": "rejected", "errors": [f.document() for f in faults[-len(error.faults) :]]}
            )
    if not good:  # A client that only looks at the status must learn of it.
        raise RejectedError(faults[:FAULTS_SHOWN])
    # These clients read the status only and repeat a batch as a whole. What is urgent is stored all the same if
    # its messageId makes the repeat harmless.
    if refused := set(pressure.busy([item for _, item in good])):
        urgent = [item for at, (_, item) in enumerate(good) if at not in refused and item.message_id]
        ingest(urgent, source=source)
        raise unavailable(f"{pressure.reason()} Send the whole batch again.")
    for (index, item), accepted in zip(good, ingest([item for _, item in good], source=source), strict=True):
        if accepted.is_conflict:
            fault = Fault(f"/batch/{index}/messageId", "This id was used for another call.", "Use a new id.")
            rejected.append(
                {"status": "conflict", "message_id": item.message_id, "errors": [fault.document()]}
            )
    return {"success": True, "rejected": rejected} if rejected else {"success": True}, faults


class ProjectSettingsView(ApiView):
    """What Segment's browser library reads before it sends: where to, and that nothing else is connected."""

    authentication_classes = []
    permission_classes = []

    @SETTINGS_GET
    def get(self, request: Request, key: str) -> HttpResponse:
        """404 for an unknown key."""
        if key_of(key) is None:
            spend_failure(request)
            raise NotFound
        return json(
            {
                "integrations": {
                    "Segment.io": {
                        "apiKey": key,
                        "apiHost": f"{request.get_host()}/v1",
                        "protocol": request.scheme,
                        "unbundledIntegrations": [],
                        "addBundledMetadata": False,
                        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
                    }
                },
                "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
                "edgeFunction": {},
                "analyticsNextEnabled": True,
                "enabledMiddleware": {},
                "middlewareSettings": {},
                "metrics": {"sampleRate": 0},
                "remotePlugins": [],
                "legacyVideoPluginsEnabled": False,
            }
        )


def _documented(name: str, **settings: Any) -> Any:
    """The view of one address, with its own entry in the OpenAPI document."""

    class View(TrackingView):
        @segment_post(name)
        def post(self, request: Request) -> HttpResponse:
            return super().post(request)

    return View.as_view(**settings)


def _short(letter: str, kind: str) -> URLPattern:
    """A short form, which only the browser library uses."""

    class View(TrackingView):
        schema = None

    return re_path(rf"^v1/{letter}/?$", View.as_view(kind=kind, is_browser=True))


addresses: list[URLPattern] = [
    *(re_path(rf"^v1/{kind}/?$", _documented(kind, kind=kind)) for kind in segment.KINDS),
    re_path(r"^v1/batch/?$", _documented("batch")),
    re_path(r"^v1/import/?$", _documented("import", is_import=True)),
    # The browser library's short forms: track, identify, page, group, alias, screen, batch.
    *(_short(kind[0], kind) for kind in segment.KINDS),
    _short("b", ""),
    re_path(r"^v1/projects/(?P<key>[^/]{1,100})/settings/?$", ProjectSettingsView.as_view()),
]
