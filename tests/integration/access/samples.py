"""One row of every model of the admin, full of addresses that not everybody may see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import models

from automation import audit
from automation.ids import uuid7
from tests.integration.admin import rows

EMAIL, PHONE, FIRST, LAST = "alice.w@example.com", "+49 170 1234567", "Alicia", "Wonderland"
SECRETS = (EMAIL, "alice.w", "alice.w%40example.com", PHONE, "1234567", FIRST, LAST, "Elm Street")
ANSWER = "<b>thanks for the order</b>"
PERSONAL = {
    "email": EMAIL,
    "phone": PHONE,
    "first_name": FIRST,
    "street": "Elm Street 5",
    "note": f"write to {EMAIL} or call {PHONE}",
    "page": {"url": f"https://shop.example.com/?email={EMAIL.replace('@', '%40')}"},
}
CUSTOMER_ID = EMAIL  # Many shops name their customers so.


def _create(label: str, **fields: Any) -> models.Model:
    return apps.get_model(label)._default_manager.create(**fields)


def made() -> Mapping[str, models.Model]:
    """Label of each registered model -> a row of it; a model that is not known here is missing."""
    now = datetime.now(UTC)
    profile = rows.customer(
        CUSTOMER_ID,
        phone=PHONE,
        first_name=FIRST,
        last_name=LAST,
        traits=PERSONAL,
        behavioral_patterns={"last_page": PERSONAL["page"]["url"]},  # type: ignore[index]
    )
    apps.get_model("profiles.profile")._default_manager.filter(pk=profile.pk).update(email=EMAIL)
    profile.refresh_from_db()
    by = rows.trigger()
    happened = rows.event(profile, data=PERSONAL, context={"metadata": PERSONAL})
    decided = rows.execution(
        happened,
        by,
        dedupe_key=f"d:{EMAIL}",
        error=f"{EMAIL} cannot be read",
        reasons=[{"reason": "frequency_cap", "params": {"asked": EMAIL}}],
        trace={"conditions": {"/conditions/0": {"result": "met", "seen": {"email": EMAIL, "phone": PHONE}}}},
    )
    sent = rows.delivery(
        decided,
        address=EMAIL,
        error=f"550 <{EMAIL}> unknown",
        provider_id=f"<1@{EMAIL}>",
        result={"response": {"status": 200, "milliseconds": 12, "body": f"{ANSWER} {EMAIL}"}},
    )
    entry = audit.record(
        "profile.changed",
        actor="ann",
        target=f"profiles.profile {profile.pk}",
        details={"fields": ["preferences"]},
        personal={"name": CUSTOMER_ID, "changes": f"e-mail: {EMAIL}"},
        profile_id=profile.pk,
    )
    segment = _create("profiles.Segment", key="vip", name="VIP")
    group = Group.objects.create(name="Guests")
    access = {"user_agent": "", "http_accept": "", "path_info": "/", "ip_address": "192.0.2.1"}
    found: dict[str, models.Model] = {
        "analytics.Onboarding": _create("analytics.Onboarding", user=User.objects.create(username="new")),
        "auth.Group": group,
        "auth.User": User.objects.create(username="guest", email="guest@shop.example"),
        "automation.AuditCheck": _create("automation.AuditCheck"),
        "automation.AuditEntry": entry,
        "automation.AuditPersonal": apps.get_model("automation.AuditPersonal")._default_manager.get(
            pk=entry.pk
        ),
        "automation.CatalogueEntry": _create(
            "automation.CatalogueEntry", name="page_view", first_seen=now, last_seen=now
        ),
        "automation.Delivery": sent,
        "automation.Epoch": apps.get_model("automation.Epoch")._default_manager.get(),
        "automation.Event": happened,
        "automation.Execution": decided,
        "automation.Heartbeat": _create("automation.Heartbeat", worker="w1", lane=1, backend_pid=1),
        "automation.MissSample": _create(
            "automation.MissSample",
            trigger_id=by.pk,
            profile_id=profile.pk,
            event_id=happened.pk,
            event_at=now,
            pointer="/conditions/0",
            seen=EMAIL,
        ),
        "automation.QuarantinedEvent": _create(
            "automation.QuarantinedEvent",
            event_id=happened.pk,
            profile_id=profile.pk,
            occurred_at=now,
            lane=3,
            error_class="ValueError",
            traceback=f"ValueError: {EMAIL} / {PHONE}",
            code_version="0.1.0",
        ),
        "automation.QueuedEvent": _create(
            "automation.QueuedEvent",
            event_id=happened.pk,
            profile_id=profile.pk,
            lane=3,
            shard=0,
            occurred_at=now,
        ),
        "automation.RejectedRequest": _create(
            "automation.RejectedRequest",
            digest="0" * 32,
            route="/api/v1/events/",
            status=400,
            kind="validation",
            message="It is not said what happened.",
            pointer="/event_type",
        ),
        "automation.SendReservation": _create(
            "automation.SendReservation",
            profile_id=profile.pk,
            channel="email",
            message_class="marketing",
            trigger_id=by.pk,
            execution_id=decided.pk,
            reserved_at=now,
        ),
        "automation.Tally": rows.counted(by, "fired", 3),
        "automation.Task": _create(
            "automation.Task", profile=profile, title=f"Call {PHONE}", notes=f"or {EMAIL}"
        ),
        "automation.Template": rows.template("hello"),
        "automation.Trigger": by,
        "automation.TriggerVersion": by.current_version,  # type: ignore[dict-item]
        "automation.WriteKey": _key(),
        "axes.AccessAttempt": _create(
            "axes.AccessAttempt", username="eve", failures_since_start=3, get_data="", post_data="", **access
        ),
        "axes.AccessFailureLog": _create("axes.AccessFailureLog", username="eve", **access),
        "axes.AccessLog": _create("axes.AccessLog", username="ann", **access),
        "django_celery_beat.ClockedSchedule": _create("django_celery_beat.ClockedSchedule", clocked_time=now),
        "django_celery_beat.CrontabSchedule": _create("django_celery_beat.CrontabSchedule"),
        "django_celery_beat.IntervalSchedule": _create(
            "django_celery_beat.IntervalSchedule", every=77, period="seconds"
        ),
        "django_celery_beat.PeriodicTask": _periodic(now),
        "django_celery_beat.SolarSchedule": _create(
            "django_celery_beat.SolarSchedule", event="sunrise", latitude=1, longitude=1
        ),
        "profiles.AddressSuppression": _create(
            "profiles.AddressSuppression", channel="email", address=EMAIL, detail=f"<{EMAIL}> is unknown"
        ),
        "profiles.Consent": _create(
            "profiles.Consent",
            profile=profile,
            is_granted=True,
            source="form",
            recorded_at=now,
            proof={"signed_by": EMAIL},
        ),
        "profiles.Identity": _create(
            "profiles.Identity", kind="anonymous", value=f"anon-{EMAIL}", profile=profile
        ),
        "profiles.Membership": _create("profiles.Membership", profile=profile, segment=segment),
        "profiles.Profile": profile,
        "profiles.Segment": segment,
    }
    return found | _erasure(now)


def _erasure(now: datetime) -> dict[str, models.Model]:
    erasure = apps.get_model("profiles.Erasure")
    act = erasure._default_manager.create(id=uuid7(), act="erase", outcome="erased", at=now, by="ann")
    tombstone = _create("profiles.Tombstone", digest="0" * 64, erasure=act)
    return {"profiles.Erasure": act, "profiles.Tombstone": tombstone}


def _key() -> models.Model:
    key: Any = apps.get_model("automation.WriteKey")(name="Shop", source="shop", scopes=["events:write"])
    key.issue()
    key.save()
    return key  # type: ignore[no-any-return]


def _periodic(now: datetime) -> models.Model:
    every = _create("django_celery_beat.IntervalSchedule", every=78, period="seconds")
    return _create(
        "django_celery_beat.PeriodicTask",
        name="Sample",
        task="automation.tasks.periodic_sweep",
        interval=every,
        expires=now + timedelta(days=1),
    )


def registered() -> list[type[models.Model]]:
    """Models that have pages, by label."""
    return sorted(admin.site._registry, key=lambda model: model._meta.label)
