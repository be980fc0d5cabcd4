"""Signed calls to other servers, as Standard Webhooks 1.0 describes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx
from django.conf import settings
from standardwebhooks import Webhook

from automation.channels import http_guard
from automation.channels.base import Call, Channel, DeliveryError, Receipt, channel

MAX_KEPT = 1024  # Bytes of the answer that are stored.
_RETRIED = frozenset({408, 409, 425, 429})  # 4xx that speak of the moment, not of the request.


@channel
class WebhookChannel(Channel):
    """A repeated call carries the same webhook-id and Idempotency-Key, so the receiver can drop it."""

    name = "webhook"
    label = "Webhook"
    may_repeat = True
    is_one_way = False

    def send(self, message: Call) -> Receipt:
        """The status and the first KB of the answer, once the server said 2xx."""
        now = datetime.now(UTC)
        key = str(message.delivery_id)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Beckon",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": _signer().sign(key, now, message.body),
        }
        try:
            url = http_guard.check_url(message.url, ports=_ports())
            answer = http_guard.post(
                url, message.body.encode(), headers, allow_loopback=settings.WEBHOOK_ALLOW_LOOPBACK
            )
        except http_guard.ForbiddenUrlError as error:
            raise DeliveryError(str(error), permanent=True, kind="forbidden_url") from error
        except http_guard.UnresolvableError as error:
            raise DeliveryError(
                str(error), permanent=False, outage=True, unanswered=True, kind="dns"
            ) from error
        except httpx.TransportError as error:
            raise _unanswered(error) from error
        if 200 <= answer.status < 300:
            return Receipt(key, _details(answer))
        raise refused(answer.status, answer.headers.get("retry-after", ""), now)

    @classmethod
    def host_of(cls, of: object) -> str:
        """Each webhook names its own; an URL that cannot be read fails later, with its own words."""
        try:
            return httpx.URL(str(getattr(of, "url", ""))).host
        except (httpx.InvalidURL, ValueError, UnicodeError):
            return ""


def refused(status: int, retry_after: str, now: datetime) -> DeliveryError:
    """What an answer outside 2xx means."""
    is_final = status < 500 and status not in _RETRIED
    hint = " Redirects are not followed." if 300 <= status < 400 else ""
    return DeliveryError(
        f"The server answered {status}.{hint}",
        permanent=is_final,
        retry_after=None if is_final else wait_of(retry_after, now),
        outage=status >= 500,
        kind=f"http_{status}",
    )


def wait_of(retry_after: str, now: datetime) -> timedelta | None:
    """The Retry-After header, as seconds or as a date; None when it says nothing usable."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 7 * 86400))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))


def _ports() -> list[int]:
    return [int(port) for port in settings.WEBHOOK_PORTS]


def _unanswered(error: httpx.TransportError) -> DeliveryError:
    return DeliveryError(
        f"The server could not be reached or did not answer ({type(error).__name__}).",
        permanent=False,
        maybe_sent=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        outage=True,
        unanswered=True,
        kind="timeout" if isinstance(error, httpx.TimeoutException) else "connection",
    )


def _details(answer: http_guard.Answer) -> dict[str, object]:
    text = answer.body[:MAX_KEPT].decode("utf-8", "replace").replace("\0", "")
    return {"status": answer.status, "body": text, "milliseconds": round(answer.seconds * 1000)}


def _signer() -> Webhook:
    variable = settings.WEBHOOK_SECRET_VARIABLE
    if not settings.WEBHOOK_SECRET:
        raise DeliveryError(
            f"{variable} is not set: webhooks are always signed.", permanent=False, kind="no_secret"
        )
    try:
        return _webhook(settings.WEBHOOK_SECRET)
    except ValueError as error:  # binascii.Error is one.
        raise DeliveryError(
            f"{variable} is not a whsec_… key.", permanent=False, kind="bad_secret"
        ) from error


@lru_cache(maxsize=4)
def _webhook(secret: str) -> Webhook:
    return Webhook(secret)
