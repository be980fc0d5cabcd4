"""Triggers to JSON files and back."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from automation import transfer
from automation.engine.types import Mode
from automation.models import AuditEntry, Trigger, TriggerVersion
from automation.pipeline import publish
from automation.recipes import recipes
from tests.integration.admin import rows

pytestmark = pytest.mark.django_db


def run(command: str, *args: str) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def refused(command: str, *args: str) -> tuple[int, str]:
    """Exit code, and all that a command said."""
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command(command, *args, stdout=out)
    return error.value.returncode, out.getvalue() + str(error.value)


def written(folder: Path, document: dict[str, Any], name: str = "one.json") -> str:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_every_recipe_survives_the_way_out_and_back(tmp_path: Path) -> None:
    """S-097: exported, forgotten and imported, each document is the same."""
    for recipe in recipes():
        for action in recipe.trigger["actions"]:
            if "template_id" in action:
                rows.template(action["template_id"])
        trigger = Trigger(key=recipe.trigger["key"].replace("_", "-"))
        trigger.take(recipe.trigger)
        trigger.save()
    before = {trigger.key: trigger.document() for trigger in Trigger.objects.all()}
    printed = run("export_triggers", "--folder", str(tmp_path)).splitlines()
    assert len(printed) == len(before) == len(recipes())
    Trigger.objects.all().delete()
    assert run("import_triggers", str(tmp_path)).count(": new") == len(before)
    assert {trigger.key: trigger.document() for trigger in Trigger.objects.all()} == before
    assert run("import_triggers", str(tmp_path)).count(": unchanged") == len(before)
    assert not TriggerVersion.objects.exists()


def test_a_changed_file_changes_the_draft_and_not_the_engine(tmp_path: Path) -> None:
    """S-080: with --publish it is a new version, by nobody but the command."""
    trigger = rows.trigger()
    path = written(tmp_path, {**transfer.exported(trigger), "cooldown_minutes": 60.0})
    said = run("import_triggers", path)
    assert said.splitlines() == ["cart: changed", "  minutes of rest per customer: none → 60"]
    stored = Trigger.objects.get()
    assert (stored.mode, stored.cooldown_minutes, stored.current_version.number) == ("live", 60.0, 1)  # type: ignore[union-attr]
    assert "version 2 published" in run("import_triggers", path, "--publish")
    assert Trigger.objects.get().current_version.definition["cooldown_minutes"] == 60.0  # type: ignore[union-attr]
    entries = AuditEntry.objects.filter(action="trigger.import").order_by("pk")
    assert [entry.details["version"] for entry in entries] == [None, 2]


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    """And says what would become of it."""
    trigger = rows.trigger()
    path = written(tmp_path, {**transfer.exported(trigger), "cooldown_minutes": 60.0})
    found = json.loads(run("import_triggers", path, "--publish", "--dry-run", "--json"))
    assert found == [
        {"key": "cart", "what": "changed", "changes": "minutes of rest per customer: none → 60", "version": 2}
    ]
    assert Trigger.objects.get().cooldown_minutes is None
    assert TriggerVersion.objects.count() == 1
    assert not AuditEntry.objects.filter(action="trigger.import").exists()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"conditions": [{"type": "no_such_type"}]}, "/conditions/0"),
        ({"actions": [{"type": "send_email", "template_id": "none"}]}, "/actions/0/template_id"),
        ({"priority": "soon"}, "/priority"),
        ({"mode": "loud"}, "/mode"),
        ({"name": "Cart recovery other"}, "/name"),
        ({"surprise": 1}, "/surprise"),
        ({"conditions": None}, "/conditions"),
        ({"conditions": []}, "/conditions"),
    ],
)
def test_one_refused_document_stops_all(tmp_path: Path, fields: dict[str, Any], pointer: str) -> None:
    """H-033, S-152: by the registry, with a pointer; exit code 1."""
    first = rows.trigger()
    rows.trigger("other")
    good = {**transfer.exported(first), "cooldown_minutes": 60.0}
    bad = {**transfer.exported(first), "key": "bad", "name": "Bad", **fields}
    path = written(tmp_path, [good, bad])  # type: ignore[arg-type]
    code, said = refused("import_triggers", path, "--publish")
    assert (code, f"  {pointer}: " in said, "Nothing was stored." in said) == (1, True, True)
    assert Trigger.objects.filter(cooldown_minutes=60.0).count() == 0


@pytest.mark.parametrize("text", ["", "[", "7", '[{"name": "x"}]', '{"key": 5}', "[" * 10_000, "NaN"])
def test_what_is_no_export_is_wrong_use(tmp_path: Path, text: str) -> None:
    """Exit code 2."""
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    assert refused("import_triggers", str(path))[0] == 2
    assert not Trigger.objects.exists()


def test_wrong_names_are_wrong_use(tmp_path: Path) -> None:
    """Exit code 2 for what is not there or there twice."""
    trigger = rows.trigger()
    assert refused("export_triggers", "none")[0] == 2
    assert refused("import_triggers", str(tmp_path / "none.json"))[0] == 2
    for name in ("a.json", "b.json"):
        written(tmp_path, transfer.exported(trigger), name)
    assert "More than one file is about cart" in refused("import_triggers", str(tmp_path))[1]


def test_an_archived_trigger_is_neither_exported_nor_overwritten(tmp_path: Path) -> None:
    """S-079: its history stays; by key it can be exported all the same."""
    trigger = rows.trigger()
    publish.set_mode(trigger.pk, Mode.ARCHIVED, by=None)
    assert json.loads(run("export_triggers")) == []
    (found,) = json.loads(run("export_triggers", "cart"))
    assert found["mode"] == "archived"
    code, said = refused("import_triggers", written(tmp_path, {**found, "mode": "live"}))
    assert (code, "archived" in said) == (1, True)


def test_a_dry_export_writes_no_file(tmp_path: Path) -> None:
    """And names what it would write."""
    rows.trigger()
    folder = tmp_path / "new"
    found = json.loads(run("export_triggers", "--folder", str(folder), "--dry-run", "--json"))
    assert found == {"files": [str(folder / "cart.json")]}
    assert not folder.exists()
