"""POST /api/v1/privacy/export/ and /api/v1/privacy/erase/: for programs that answer what people ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpResponse
from rest_framework.request import Request

from automation.api.base import ApiView, json, key_of_request
from automation.api.body import body_of
from automation.api.documents_privacy import ERASE_POST, EXPORT_POST
from automation.api.faults import Fault, RejectedError, pointer
from automation.api.limits import breaches, loaded, too_long
from automation.models.keys import WriteKey
from automation.privacy import AmbiguousError, Who, erase
from automation.privacy.export import exported
from automation.privacy.person import LONGEST

FIELDS: Final = ("customer_id", "anonymous_id", "email")
_HINT: Final = 'Send {"customer_id": "…"}, or one of anonymous_id and email instead.'


class ExportView(ApiView):
    """Everything that is stored about one person. Only an admin key may ask."""

    required_scope = WriteKey.Scope.ADMIN.value

    @EXPORT_POST
    def post(self, request: Request) -> HttpResponse:
        """The whole document; one who is unknown or was erased has no tables."""
        try:
            with exported(
                who_of(body_of(request)),
                by=_actor(request),
                now=datetime.now(UTC),
                request=request._request,
            ) as file:
                answer = HttpResponse(file.read(), content_type="application/json")
        except AmbiguousError as error:
            raise _ambiguous(error) from None
        answer["Cache-Control"] = "no-store"
        return answer


class EraseView(ApiView):
    """Forget one person. Only an admin key may ask."""

    required_scope = WriteKey.Scope.ADMIN.value

    @ERASE_POST
    def post(self, request: Request) -> HttpResponse:
        """A receipt, the same for one who is unknown or was erased before: repeating is safe."""
        try:
            receipt = erase(
                who_of(body_of(request)),
                by=_actor(request),
                now=datetime.now(UTC),
                request=request._request,
            )
        except AmbiguousError as error:
            raise _ambiguous(error) from None
        return json(receipt.document())


def who_of(raw: bytes) -> Who:
    """Whom a body names; RejectedError with everything that is wrong with it."""
    if fault := too_long(raw):
        raise RejectedError([fault])  # Before anything is built from it.
    value = loaded(raw)
    faults = breaches(value)
    if not isinstance(value, dict):
        raise RejectedError([*faults, Fault("", "A person is named by an object.", _HINT)])
    faults += [
        Fault(pointer(name), "This field is not known here.", _HINT) for name in value if name not in FIELDS
    ]
    given: dict[str, Any] = {name: value[name] for name in FIELDS if value.get(name) is not None}
    for name, said in given.items():
        if isinstance(said, int) and not isinstance(said, bool) and name != "email":
            given[name] = str(said)  # As events take it.
        elif not isinstance(said, str) or not 0 < len(said) <= LONGEST:
            faults.append(Fault(f"/{name}", f"Send a text of 1 to {LONGEST} characters."))
    if len(given) != 1:
        faults.append(Fault("", "Name the person by exactly one field.", _HINT))
    if faults:
        raise RejectedError(faults)
    return Who(**given)


def _actor(request: Request) -> str:
    key = key_of_request(request)
    return f"key {key.id} ({key.name})"[:150]


def _ambiguous(error: AmbiguousError) -> RejectedError:
    return RejectedError([Fault("/email", str(error), "Send the customer_id.")])
