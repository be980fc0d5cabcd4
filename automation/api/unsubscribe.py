"""The page behind every unsubscribe link, and the one click of mail programs (RFC 8058, R-047).

GET only shows: mail scanners follow links. POST acts, without cookie, log-in, token or redirect, and says
the same however often it is repeated.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from automation.pipeline import internal, settle
from automation.rendering import unsubscribe as links
from automation.rendering.unsubscribe import Subscription
from profiles import services

SOURCE = "one_click"  # Of the consent record.


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the link ends, or end it."""
    subscription = links.read(token)
    if subscription is None:
        raise Http404("This link was not made by us.")
    is_done = request.method == "POST"
    if is_done:
        end(subscription)
        confirm(subscription)
    about = {"topic": subscription.topic.replace("_", " "), "channel": subscription.channel}
    answer = render(request, "automation/unsubscribe.html", {**about, "is_done": is_done})
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex"
    return answer


def end(subscription: Subscription) -> bool:
    """Record the refusal and tell the engine, together; False when there was nothing left to end."""
    with transaction.atomic():
        profile = _lock(subscription.profile_id)
        if profile is None or profile.is_erased:
            return False  # Nobody is written to any more; the page says so all the same.
        now, is_refused = _word(profile.id, subscription)
        if is_refused:
            return False
        word = services.ConsentWord(
            profile.id, subscription.topic, subscription.channel, is_granted=False, source=SOURCE, at=now
        )
        services.record_consent([word])
        data = {"topic": subscription.topic, "channel": subscription.channel}
        internal.tell(profile.id, f"{subscription.channel}_unsubscribed", data, at=now)
    return True


def confirm(subscription: Subscription) -> bool:
    """Whoever used the link had the message: it did arrive, if that was uncertain (R-026)."""
    try:
        delivery_id = UUID(subscription.delivery)
    except ValueError:  # An older link names no message.
        return False
    return settle.arrived(delivery_id, evidence=SOURCE)


def _lock(profile_id: int) -> services.Locked | None:
    """The profile of the link, or the one it was merged into."""
    for _ in range(10):  # A merge is never chained this long; a bound all the same.
        profile = services.lock([profile_id]).get(profile_id)
        if profile is None or profile.merged_into is None:
            return profile
        profile_id = profile.merged_into
    return None


def _word(profile_id: int, subscription: Subscription) -> tuple[datetime, bool]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT now(), EXISTS (SELECT FROM profiles_consent"
            " WHERE profile_id = %s AND topic = %s AND channel = %s AND NOT is_granted)",
            [profile_id, subscription.topic, subscription.channel],
        )
        now, is_refused = cursor.fetchone()
        return now, is_refused
