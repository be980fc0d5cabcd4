"""Log-ins in the audit log.

Beckon has no signals of its own and listens to none but these: Django and django-axes announce a log-in, a failed
one, a lock-out and a log-out in no other way.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from automation.audit.entries import record

FAILURES_A_MINUTE = 60  # Of one process: whoever guesses passwords must not fill the log.


class Budget:
    """So many a minute; counts those above."""

    def __init__(self, a_minute: int) -> None:
        self.a_minute = a_minute
        self._lock = threading.Lock()
        self._minute, self._used, self._missed = 0, 0, 0

    def spend(self, now: float) -> int | None:
        """How many were left out since the last that was not; None when this one is to be left out too."""
        with self._lock:
            if int(now // 60) != self._minute:
                self._minute, self._used = int(now // 60), 0
            if self._used >= self.a_minute:
                self._missed += 1
                return None
            self._used += 1
            missed, self._missed = self._missed, 0
            return missed


_failures = Budget(FAILURES_A_MINUTE)


def connect() -> None:
    """Listen. For AppConfig.ready."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit")
    user_logged_out.connect(_logged_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    if apps.is_installed("axes"):
        from axes.signals import user_locked_out  # Needs its models, so not before they are loaded.

        user_locked_out.connect(_locked_out, dispatch_uid="audit")


def _logged_in(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    record("login", actor=user.get_username(), actor_id=user.pk, request=request)


def _logged_out(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    if user is not None:  # Nobody was logged in.
        record("logout", actor=user.get_username(), actor_id=user.pk, request=request)


def _failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    _attempt("login.failed", str(credentials.get(get_user_model().USERNAME_FIELD, "")), request)


def _locked_out(
    sender: Any, request: HttpRequest | None = None, username: str | None = None, **_: Any
) -> None:
    _attempt("login.locked_out", username or "", request)


def _attempt(action: str, name: str, request: HttpRequest | None) -> None:
    """A name that no user has is not written down: people type their password into the wrong field."""
    missed = _failures.spend(time.monotonic())
    if missed is None:
        return
    details = {"left_out_before": missed} if missed else {}
    user = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: name[:150]}).first()
    actor = user.get_username() if user else "(no such user)"
    record(action, actor=actor, actor_id=user.pk if user else None, details=details, request=request)
