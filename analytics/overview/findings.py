"""Worth your attention: at most five findings, each with a number, what it was measured on, and one button."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from analytics.overview.numbers import Numbers
from analytics.overview.system import System
from automation.admin import links, trigger_facts, trigger_problems
from automation.engine.types import Mode
from automation.models import Trigger

SHOWN: Final = 5
ALARM: Final = 0.003  # Share of e-mails that made people leave.
MIN_SENT: Final = 100  # E-mails before their share says anything.


class Finding(NamedTuple):
    """One thing that somebody should look into."""

    text: str
    evidence: str
    button: str
    url: str
    pause: int | None = None  # Id of the live trigger that a button pauses.


def findings(found: Numbers, seen: System, now: datetime) -> list[Finding]:
    """The most urgent first; three queries."""
    every = [*_stuck(seen), *_leaving(found), *_triggers(now)]
    return every[:SHOWN]


def _stuck(seen: System) -> Iterator[Finding]:
    for lane in seen.lanes:
        if lane.is_late:
            yield Finding(
                _("Events of the lane “%(lane)s” wait too long") % {"lane": lane.name},
                ngettext(
                    "%(n)s event waits, for %(age)s",
                    "%(n)s events wait, the oldest for %(age)s",
                    lane.waiting,
                )
                % {"n": f"{lane.waiting:,}", "age": lane.age},
                _("See the workers"),
                reverse("admin:automation_heartbeat_changelist"),
            )
    if seen.quarantined:
        yield Finding(
            _("Events are in quarantine"),
            ngettext(
                "%(n)s event failed too often and waits for a person",
                "%(n)s events failed too often and wait for a person",
                seen.quarantined,
            )
            % {"n": f"{seen.quarantined:,}"},
            _("Look at them"),
            links.listing("automation.quarantinedevent", state__exact="held"),
        )
    if seen.uncertain:
        yield Finding(
            _("Some messages may or may not have gone out"),
            ngettext("%(n)s delivery is uncertain", "%(n)s deliveries are uncertain", seen.uncertain)
            % {"n": f"{seen.uncertain:,}"},
            _("Settle them"),
            links.listing("automation.delivery", status="uncertain"),
        )
    if seen.open:
        yield Finding(
            _("A receiver does not answer and is left alone for now"),
            ngettext("%(n)s destination: %(names)s", "%(n)s destinations: %(names)s", len(seen.open))
            % {"n": len(seen.open), "names": ", ".join(seen.open)},
            _("See what waits"),
            links.listing("automation.delivery", status="pending"),
        )


def _leaving(found: Numbers) -> Iterator[Finding]:
    sent, left = found.mails.sent, found.left.total
    if sent >= MIN_SENT and not found.mails.is_cut and left > sent * ALARM:
        yield Finding(
            _("More people leave than is good"),
            _(
                "%(share).2f %% of %(sent)s e-mails made somebody leave or complain; the alarm is at %(alarm).2f %%"
            )
            % {"share": left / sent * 100, "sent": f"{sent:,}", "alarm": ALARM * 100},
            _("See the suppression list"),
            reverse("admin:profiles_addresssuppression_changelist"),
        )


def _triggers(now: datetime) -> Iterator[Finding]:
    triggers = Trigger.objects.exclude(mode__in=[Mode.ARCHIVED, Mode.DRAFT]).order_by("priority", "name")
    facts, known = trigger_facts.fortnights(None, now), trigger_problems.known()
    for trigger in triggers:
        mine = facts.get(trigger.pk) or trigger_facts.Fortnight()
        if problems := trigger_problems.problems(trigger, mine, known, now):
            yield Finding(
                f"“{trigger.name}”: {problems[0]}",
                _("%(fired)s fired and %(held)s held back in 14 days")
                % {"fired": f"{sum(mine.fired):,}", "held": f"{mine.held:,}"},
                _("Open the trigger"),
                links.page("automation.trigger", trigger.pk),
                trigger.pk if trigger.mode == Mode.LIVE else None,
            )
