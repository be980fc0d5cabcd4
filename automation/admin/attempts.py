"""The actions of one decision: what was asked of whom, how often it was tried, what came back, and trying again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from automation import reasons, wording
from automation.admin import links
from automation.admin.answers import answer_of
from automation.admin.trace import tone
from automation.models import Delivery, Execution
from profiles.masking import hidden, masked, may_see


def of(execution: Execution, request: HttpRequest) -> list[dict[str, Any]]:
    """One document for each delivery of the decision, in the order of the actions."""
    rows = Delivery.objects.filter(execution_id=execution.pk).order_by("action_index", "channel")
    may_retry = request.user.has_perm("automation.change_delivery")  # type: ignore[union-attr]
    is_masked = not may_see(request.user)
    return [_one(row, execution, request, may_retry=may_retry, is_masked=is_masked) for row in rows]


def _one(
    row: Delivery, execution: Execution, request: HttpRequest, *, may_retry: bool, is_masked: bool
) -> dict[str, Any]:
    error = " ".join(filter(None, (row.error_class, row.error)))
    answer: SafeString | str = answer_of(row, request) if row.result else ""
    return {
        "pk": row.pk,
        "url": links.page("automation.delivery", row.pk),
        "asked": _asked(execution, row),
        "status": row.get_status_display(),
        "code": row.status,
        "tone": tone(row.status),
        "why": reasons.label(row.reason) if row.reason else "",
        "facts": [
            (_("Channel"), row.channel),
            (_("To"), (masked(row.address) if is_masked else row.address) or "–"),
            (_("Due"), links.clock(row.due_at)),
            (_("Finished"), links.clock(row.finished_at)),
            (_("Attempts"), f"{row.tries:,}"),
            (_("Idempotency key"), row.idempotency_key),
        ],
        "error": hidden(error) if is_masked else error,
        "answer": answer,
        "may_retry": may_retry and row.status == Delivery.Status.FAILED,
        "is_uncertain": row.status == Delivery.Status.UNCERTAIN,
    }


def _asked(execution: Execution, row: Delivery) -> str:
    """The action of the version that was judged, in words."""
    actions = execution.version.definition.get("actions", [])
    action = actions[row.action_index] if row.action_index < len(actions) else None
    return wording.describe_action(action) if isinstance(action, Mapping) else row.action_type
