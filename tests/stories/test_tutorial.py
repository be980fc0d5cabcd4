"""The tutorial's own commands, forms and documents, carried out in its order on a real server."""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.integration.deliver.mailserver import Ledger, mail_server

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-trigger.md"
# The live server starts before any fixture could give whitenoise a folder.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture(autouse=True)
def fresh_engine() -> Iterator[None]:
    """The engine knows nothing of other tests."""
    from automation.pipeline import index, plan

    index.forget()
    plan.policy.cache_clear()
    plan.plan_of_version.cache_clear()
    yield
    index.forget()


@pytest.fixture
def eager() -> Iterator[None]:
    """Bells are answered at once, in the thread that rings."""
    from celery import current_app

    current_app.loader.import_default_modules()
    current_app.conf.task_always_eager = True
    yield
    current_app.conf.task_always_eager = False


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Ledger]:
    """A real mail server in place of the one that `make up` starts."""
    with mail_server() as (ledger, port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        yield ledger


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    """The server's threads have ended before the database is emptied."""
    yield
    until = time.monotonic() + 10
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < until, "the server still holds a connection"
        time.sleep(0.01)


def section(number: int) -> str:
    """The text of one numbered section."""
    return re.split(r"^## ", TUTORIAL.read_text(), flags=re.MULTILINE)[number]


def blocks(number: int, language: str) -> list[str]:
    """The code blocks of a section."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(number), re.MULTILINE | re.DOTALL)


def commands(number: int) -> list[list[str]]:
    """The `manage.py` commands of a section, as their arguments."""
    lines = [line for block in blocks(number, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [
        shlex.split(line.partition("manage.py ")[2]) for line in lines if line.startswith("python manage.py ")
    ]


def fields(number: int) -> dict[str, str]:
    """The table of form fields of a section: label -> value."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", section(number), re.MULTILINE)
    return {label: value for label, value in rows if label != "Field"}


class Terminal:
    """The second terminal of the tutorial."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = ""

    def run(self, arguments: list[str]) -> str:
        """Run one command as it stands; only the key and the server's address are filled in."""
        filled = [self.key if argument == "$BECKON_KEY" else argument for argument in arguments]
        if filled[0] == "send_event":
            filled += ["--url", self.url]
        out = StringIO()
        call_command(*filled, stdout=out)
        return out.getvalue()


def cards(labels: dict[str, str]) -> dict[str, str]:
    """The conditions and actions that the cards of the editor's table stand for; takes them out of `labels`."""
    from automation.actions.registry import ACTIONS
    from automation.engine.operators import OPERATORS

    assert labels.pop("Card") == "What stands on it"
    field, operator, value = labels.pop("where a property…").split(" · ")
    (name,) = [name for name, known in OPERATORS.items() if known.label == operator]
    label, template = labels.pop("Then").split(" · ")
    (action,) = [key for key, plugin in ACTIONS.items() if plugin.label == label]
    row = {"field": field, "operator": name, "value": int(value)}
    when = {"type": "event_match", "event_type": labels.pop("When"), "data_conditions": [row]}
    return {
        "conditions": json.dumps([when]),
        "actions": json.dumps([{"type": action, "template_id": template}]),
    }


def fill(client: Client, page: str, labels: dict[str, str], **more: str) -> None:
    """Fill a form of the admin by its labels, the way a person does, and save it."""
    form = client.get(reverse(page)).context["adminform"].form
    names = {(bound.label or name).lower(): name for name, bound in ((f.name, f) for f in form)}
    data = {bound.html_name: bound.value() for bound in form}
    data = {name: value for name, value in data.items() if value is not None and value is not False}
    data |= {names[label.lower()]: value for label, value in labels.items()} | more
    answer = client.post(reverse(page), data)
    assert answer.status_code == 302, answer.context["errors"]


def documents(output: str) -> list[dict[str, Any]]:
    """The JSON documents that a command printed one after another."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(output):
        document, position = decoder.raw_decode(output, position)
        found.append(document)
        position += len(output[position:]) - len(output[position:].lstrip())
    return found


def test_the_tutorial_runs_as_it_is_written(
    live_server: Any, eager: None, mailbox: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-007, H-001: from nothing to a mail, and to why the next one does not go out."""
    from automation import wording
    from automation.models import Trigger

    terminal = Terminal(live_server.url)

    (createsuperuser,) = commands(1)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    terminal.run([*createsuperuser, "--no-input"])
    client = Client()
    form = {"username": "admin", "password": "correct horse battery"}
    assert client.post("/admin/login/?next=/admin/", form).status_code == 302

    (create_key,) = commands(2)
    terminal.key = json.loads(terminal.run([*create_key, "--json"]))["key"]

    for command in commands(3):
        (answer,) = documents(terminal.run(command))
        assert answer["status"] == "accepted"

    (html,) = blocks(4, "html")
    fill(client, "admin:automation_template_add", fields(4), html=html)

    labels = fields(5)
    parts = cards(labels)
    fill(client, "admin:automation_trigger_add", labels, **parts)
    (sentence,) = re.findall(r"^> (.+)$", section(5), re.MULTILINE)
    trigger = Trigger.objects.get()
    assert wording.sentence(trigger.document()) == sentence
    assert trigger.mode == "draft"
    assert "*Go live*." in section(5)
    page = reverse("admin:automation_trigger_publish", args=[trigger.pk])
    form = client.get(page).context["form"]
    answer = client.post(page, {"fingerprint": form["fingerprint"].value(), "_publish": "1"})
    assert answer.status_code == 302

    (first,) = commands(6)
    accepted, decided = documents(terminal.run(first))
    assert accepted["status"] == "accepted"
    (execution,) = decided["executions"]
    assert execution["trigger"] == "cart-recovery"
    assert [action["type"] for action in execution["actions"]] == ["send_email"]
    (mail,) = mailbox.messages
    assert mail["Subject"] == "Ada, your cart is waiting"
    assert mail["To"] == "ada@example.com"
    assert "124.98 €" in mail.get_body(("html",)).get_content()  # type: ignore[attr-defined]

    second, explain_second, third, explain_third = commands(7)
    _, decided = documents(terminal.run(second))
    assert [(e["status"], e["reason"]) for e in decided["executions"]] == [("suppressed", "frequency_cap")]
    said = [line for block in blocks(7, "") for line in block.splitlines()]
    assert said[0] in terminal.run(explain_second)
    _, decided = documents(terminal.run(third))
    assert decided["executions"] == []
    assert said[1] in terminal.run(explain_third)
    assert len(mailbox.messages) == 1


def test_the_tutorial_starts_beckon_without_quiet_hours() -> None:
    """Or marketing mail would wait for the morning."""
    declared = {one.name for one in django_settings.DECLARED}
    variables = re.findall(r"\b(BECKON_[A-Z_]+)=00:00", section(1))
    assert variables == ["BECKON_QUIET_START", "BECKON_QUIET_END"]
    assert set(variables) <= declared
