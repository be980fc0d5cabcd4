"""Send me a test: the messages of a trigger with the data of one person, to the signed-in user alone."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import rehearsal
from automation.admin import trigger_problems
from automation.admin.trigger_pages import BEYOND, TriggerPages, found, signed_in
from automation.buckets import Buckets
from automation.engine.types import Event as Happened
from automation.models import Event, Task, Trigger
from profiles import services
from profiles.admin.parts import Cell
from profiles.masking import may_see
from profiles.models import Profile
from profiles.named import Picker

RATE = Buckets(rate=5 / 60, burst=5)  # Tests of one user.


class TestForm(forms.Form):
    """Whose data: a customer's, with their newest event that fits, or an event's."""

    __test__ = False  # Not for pytest.

    customer = forms.ModelChoiceField(
        label=gettext_lazy("Customer"),
        queryset=Profile.objects.filter(erased_at__isnull=True),
        required=False,
        widget=Picker(Task._meta.get_field("profile"), admin.site),
    )
    event = forms.IntegerField(
        label=gettext_lazy("Event id"),
        required=False,
        min_value=1,
        max_value=BEYOND - 1,
        help_text=gettext_lazy(
            "Empty: the customer's newest event that the trigger waits for, else one without properties."
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        profile, event_id = cleaned.get("customer"), cleaned.get("event")
        if event_id:
            stored = Event.objects.filter(pk=event_id).first()
            if stored is None:
                raise forms.ValidationError({"event": _("There is no such event (any more).")})
            if profile is not None and stored.profile_id != profile.pk:
                raise forms.ValidationError({"event": _("This event belongs to another customer.")})
            cleaned["stored"], cleaned["profile_id"] = stored, stored.profile_id
        elif profile is not None:
            cleaned["profile_id"] = profile.pk
        else:
            raise forms.ValidationError(_("Choose a customer or an event."))
        person = services.load([cleaned["profile_id"]]).get(cleaned["profile_id"])
        if person is None or person.is_erased:
            raise forms.ValidationError(_("This customer was forgotten."))
        cleaned["person"] = person
        return cleaned


class Testing(TriggerPages):
    """Mixed in before ModelAdmin: the page, and the way there."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        return [
            path("<int:trigger_id>/test/", view, name="automation_trigger_test"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def has_test_permission(self, request: HttpRequest) -> bool:
        """Whether this user may: who edits triggers and may read what messages say of customers."""
        return self.has_ask_permission(request) and may_see(request.user)

    def tools(self, request: HttpRequest, obj: Any) -> list[Cell]:
        found_tools: list[Cell] = super().tools(request, obj)  # type: ignore[misc]
        if not self.has_test_permission(request):
            return found_tools
        return [
            *found_tools,
            Cell(_("Send me a test"), reverse("admin:automation_trigger_test", args=[obj.pk])),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and self.has_test_permission(request):
            context["test_url"] = reverse("admin:automation_trigger_test", args=[obj.pk])
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]
        return answer

    def test_view(self, request: HttpRequest, trigger_id: int) -> HttpResponse:
        """Choose whose data; send, and show what came of each action."""
        if not self.has_test_permission(request):
            raise PermissionDenied
        trigger, user = found(trigger_id), signed_in(request)
        obstacle = rehearsal.obstacle(user.email)
        # The person chosen in the editor is carried here: ?event=<id>.
        form = TestForm(request.POST) if request.method == "POST" else TestForm(initial=_carried(request))
        done = []
        if request.method == "POST" and form.is_valid() and not obstacle:
            now = timezone.now()
            if wait := RATE.take(str(user.pk)):
                said = _("Too many tests at once. Try again in %(seconds)s seconds.")
                form.add_error(None, said % {"seconds": math.ceil(wait)})
            else:
                event = _event(trigger, form.cleaned_data, now)
                with transaction.atomic():  # First: what was sent stays noted, whatever happens then.
                    text = f"Sent a test to themselves with the data of customer {event.profile_id}."
                    self.log_change(request, trigger, text)
                done = rehearsal.rehearse(trigger, event, form.cleaned_data["person"], to=user.email, now=now)
        return self.page(
            request,
            trigger,
            "trigger_test",
            _("Send me a test: %(name)s") % {"name": trigger.name},
            form=form,
            done=done,
            obstacle=obstacle,
            address=user.email,
            media=form.media,
        )


def _carried(request: HttpRequest) -> dict[str, int]:
    """Ids that the address names; what is none is left out."""
    named = {field: request.GET.get(field, "") for field in ("customer", "event")}
    return {field: int(text) for field, text in named.items() if text.isdecimal() and len(text) < 19}


def _event(trigger: Trigger, chosen: dict[str, Any], now: datetime) -> Happened:
    """The chosen event, the customer's newest that fits, or one without properties."""
    profile_id, stored = chosen["profile_id"], chosen.get("stored")
    names = trigger_problems.events_of(trigger.conditions)
    if stored is None:
        newest = Event.objects.filter(profile_id=profile_id).order_by("-occurred_at")
        stored = (newest.filter(name__in=names) if names else newest).first()
    if stored is None:
        return Happened(0, "", names[0] if names else "", profile_id, now, now)
    return Happened(
        stored.pk,
        stored.message_id,
        stored.name,
        profile_id,
        stored.occurred_at,
        stored.received_at,
        stored.data,
        stored.context,
    )
