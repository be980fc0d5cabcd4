"""POST /api/v1/deliveries/<id>/feedback/: a receiver, or an adapter of a mail provider, says what became of it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from automation.api.base import ApiView, json, key_of_request
from automation.api.body import body_of
from automation.api.documents_feedback import FEEDBACK_POST
from automation.api.faults import Fault, RejectedError
from automation.api.limits import breaches, loaded, too_long
from automation.api.problems import ProblemError
from automation.audit.entries import record
from automation.models import Delivery
from automation.models.keys import WriteKey
from automation.pipeline import settle
from automation.pipeline.endings import FAILED, UNCERTAIN, WENT_OUT

ARRIVED, NOT_ARRIVED = OUTCOMES = ("arrived", "not_arrived")
DETAIL_LENGTH: Final = 300
_SAYS: Final = {ARRIVED: WENT_OUT - {UNCERTAIN}, NOT_ARRIVED: frozenset({FAILED})}
_HINT: Final = 'Send {"outcome": "arrived"} or {"outcome": "not_arrived", "detail": "…"}.'


class FeedbackView(ApiView):
    """Settles an uncertain delivery. Not for keys of browsers: whoever sends events cannot (R-036)."""

    required_scope = WriteKey.Scope.PROFILES_WRITE.value

    @FEEDBACK_POST
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """200 with the status it has now, also when the same was said before; 409 when it is known otherwise."""
        outcome, detail = said(body_of(request))
        key = key_of_request(request)
        try:
            delivery = UUID(delivery_id)
        except ValueError:
            raise NotFound from None
        with transaction.atomic():
            if outcome == ARRIVED:
                is_changed = settle.arrived(delivery, evidence="feedback")
            else:
                why = detail or "Its receiver says that it did not arrive."
                is_changed = settle.did_not_arrive(delivery, evidence="feedback", why=why)
            status = Delivery.objects.filter(pk=delivery).values_list("status", flat=True).first()
            if status is None:
                raise NotFound
            if not is_changed and status not in _SAYS[outcome]:
                raise ProblemError("conflict", f"The delivery is {status}, which is not uncertain.")
            if is_changed:
                record(
                    "delivery.feedback",
                    actor=f"key {key.id} ({key.name})"[:150],
                    target=f"delivery {delivery}",
                    details={"outcome": outcome},
                    request=request._request,
                )
        return json({"id": str(delivery), "status": status, "changed": is_changed})


def said(raw: bytes) -> tuple[str, str]:
    """Outcome and detail of a body; RejectedError with everything that is wrong with it."""
    if fault := too_long(raw):
        raise RejectedError([fault])  # Before anything is built from it.
    value = loaded(raw)
    faults = breaches(value)
    if not isinstance(value, dict):
        raise RejectedError([*faults, Fault("", "Feedback is an object.", _HINT)])
    faults += [
        Fault(f"/{name}", "This field is not known here.", _HINT)
        for name in value
        if name not in ("outcome", "detail")
    ]
    outcome: Any = value.get("outcome")
    if outcome not in OUTCOMES:
        faults.append(Fault("/outcome", f"One of {', '.join(OUTCOMES)}.", _HINT))
    detail: Any = value.get("detail") or ""
    if not isinstance(detail, str) or len(detail) > DETAIL_LENGTH:
        faults.append(Fault("/detail", f"A text of at most {DETAIL_LENGTH} characters."))
    if faults:
        raise RejectedError(faults)
    return outcome, detail
