"""What the documentation says exists, links lead somewhere, generated pages are fresh, snippets run."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.test import Client

from analytics.management.commands.docs_reference import PAGES
from tests.architecture.project import ROOT

DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^(```+|~~~+)(\w*)\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
PLUGINS = {
    "README.md": "automation.engine.conditions",
    "docs/how-to/add-a-condition.md": "automation.engine.conditions",
    "docs/how-to/add-an-action.md": "automation.actions",
}


@cache
def pages() -> dict[str, str]:
    """Every page, by its path from the root."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found += sorted(DOCS.rglob("*.md"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}


def blocks(page: str, *languages: str) -> list[str]:
    """The code blocks of a page in these languages."""
    return [text for _, language, text in CODE.findall(pages()[page]) if language in languages]


def without_code(page: str) -> str:
    return re.sub(r"`[^`\n]+`", "``", CODE.sub("", pages()[page]))


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors of a page, made the way GitHub makes them from headings."""
    made: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#{1,6} (.+)$", CODE.sub("", pages()[page]), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(f"{slug}-{made[slug]}" if slug in made else slug)
        made[slug] = made.get(slug, 0) + 1
    return frozenset(found)


def shell_lines(page: str) -> Iterator[str]:
    """The lines of shell blocks, joined where they are continued, without comments."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+#.*$", "", line)


# --- Links and pages


@pytest.mark.parametrize("page", sorted(pages()))
def test_links_and_anchors_lead_somewhere(page: str) -> None:
    """S-010: the README's map of the docs is one that can be followed."""
    broken = []
    for target in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        name = path.resolve().relative_to(ROOT).as_posix()
        if not path.exists() or (anchor and anchor not in anchors(name)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, pending = set(), ["README.md"]
    while pending:
        page = pending.pop()
        if page in seen or page not in pages():
            continue
        seen.add(page)
        for target in LINK.findall(without_code(page)):
            file = target.partition("#")[0]
            if file and not re.match(r"[a-z]+:", target):
                pending.append(((ROOT / page).parent / file).resolve().relative_to(ROOT).as_posix())
    assert set(pages()) - seen == set()


def test_decision_records_are_short_numbered_and_listed() -> None:
    records = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    index = pages()["docs/decisions/README.md"]
    for path in records:
        assert len(path.read_text().splitlines()) <= 20, path.name
        assert f"({path.name})" in index
        assert path.read_text().startswith(f"# {path.name[:4]} ")


# --- Commands


@pytest.mark.parametrize("page", sorted(pages()))
def test_make_targets_exist(page: str) -> None:
    """S-010."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {m for line in shell_lines(page) for m in re.findall(r"(?:^|\s)make ([a-z-]+)", line)}
    named |= set(re.findall(r"`make ([a-z-]+)`", pages()[page]))
    assert named - targets == set()


@pytest.mark.parametrize("page", sorted(pages()))
def test_manage_commands_exist_and_take_these_arguments(page: str) -> None:
    """S-010: parsed by the command's own parser."""
    for line in shell_lines(page):
        if "manage.py " in line and "python" in line:
            typed = re.split(r"\s[<>|]\s", line.partition("manage.py ")[2])[0]  # What follows is the shell's.
            name, *arguments = shlex.split(typed)
            parse(name, arguments)
    for name in re.findall(r"`(?:python )?manage\.py ([a-z_]+)[^`]*`", pages()[page]):
        assert name in get_commands(), name


def parse(name: str, arguments: list[str]) -> None:
    """Raises when the command or one of its arguments does not exist."""
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    try:
        parser = command.create_parser("manage.py", name)
        parser.parse_args(arguments)
    except (CommandError, SystemExit) as error:
        raise AssertionError(f"manage.py {name} {' '.join(arguments)}: {error}") from error


@pytest.mark.parametrize("page", sorted(pages()))
def test_compose_services_and_queues_exist(page: str) -> None:
    """S-004, S-009: the worker command lines that are documented name the real queues."""
    from config.celery import app

    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    queues = {queue.name for queue in app.conf.task_queues}
    for line in shell_lines(page):
        found = re.search(r"docker compose (exec|up)\b(.*)", line)
        if found:
            words = [word for word in shlex.split(found[2]) if not word.startswith("-") and "=" not in word]
            assert set(words[:1] if found[1] == "exec" else words) <= services, line
        for listed in re.findall(r"--queues=(\S+)", line):
            assert set(listed.split(",")) <= queues, line


@pytest.mark.parametrize("page", sorted(pages()))
def test_settings_that_are_named_exist(page: str) -> None:
    """A variable in a page is a setting, or one of docker-compose.yml."""
    compose = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    known = {one.name for one in settings.DECLARED} | compose | {"BECKON_KEY"}
    assert set(re.findall(r"\bBECKON_[A-Z_]+\b", pages()[page])) - known == set()


# --- Generated pages


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_pages_are_fresh(name: str) -> None:
    """Write them with: python manage.py docs_reference."""
    assert pages()[f"docs/reference/{name}"] == PAGES[name]()


@pytest.mark.django_db
def test_the_metrics_page_names_every_metric_and_no_other() -> None:
    """S-093, R-034."""
    from automation.metrics import collect

    exposed = set(re.findall(r"^# HELP (\w+) ", collect().decode(), re.MULTILINE))
    rows = set(re.findall(r"^\| `(beckon_\w+)` \|", pages()["docs/reference/metrics.md"], re.MULTILINE))
    assert rows == exposed


@pytest.mark.django_db
def test_metrics_that_pages_tell_to_watch_exist() -> None:
    from automation.metrics import collect

    exposed = set(re.findall(r"^# HELP (\w+) ", collect().decode(), re.MULTILINE))
    named = {name for text in pages().values() for name in re.findall(r"\bbeckon_[a-z_]*[a-z]\b(?!_)", text)}
    assert named - exposed == set()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_dependency_is_explained(file: str) -> None:
    """Need, choice, what was rejected, licence."""
    page = pages()["docs/explanation/dependencies.md"]
    rows = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", page, re.MULTILINE)]
    explained = {row[1].split()[0].rstrip(",") for row in rows if len(row) == 4 and all(row)}
    wanted = set(re.findall(r"^([\w-]+)==", (ROOT / file).read_text(), re.MULTILINE))
    assert wanted - explained == set()


# --- Snippets


@pytest.mark.parametrize("page", sorted(pages()))
def test_snippets_can_be_read(page: str) -> None:
    for text in blocks(page, "python"):
        ast.parse(text)
    for text in blocks(page, "json"):
        json.loads(text)


def run_plugin(page: str, folder: Path) -> Any:
    """Put the file that a page shows beside the real ones, in another process, and use it."""
    (source,) = blocks(page, "python")
    (folder / "documented_plugin.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "tests.architecture.documented_plugin", PLUGINS[page], str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("README.md", [["MET", "their number of orders is a multiple of 10"]]),
        (
            "docs/how-to/add-a-condition.md",
            [
                ["MET", "they were active on at least 3 days in the last 7 days"],
                ["NOT_MET", "they were active on at least 2 days in the last 7 days"],
            ],
        ),
    ],
)
def test_the_documented_condition_is_a_whole_condition(page: str, told: Any, tmp_path: Path) -> None:
    """S-117: found by the scan, validated, compiled, traced, said in English, in the reference."""
    assert run_plugin(page, tmp_path) == told


def test_the_documented_action_is_a_whole_action(tmp_path: Path) -> None:
    page = "docs/how-to/add-an-action.md"
    assert run_plugin(page, tmp_path) == [
        "https://chat.example.com/hooks/abc",
        {"text": "Ada left a cart of 80."},
        "provider-1",
        "tell the team “{{ first_name }} left a cart of {{ cart_value }}.”",
    ]


def test_the_documented_files_are_short_enough_for_the_linter() -> None:
    """What is copied from here passes the gate."""
    long = {
        page: line
        for page in PLUGINS
        for block in blocks(page, "python")
        for line in block.splitlines()
        if len(line) > 110
    }
    assert long == {}


@pytest.mark.django_db(transaction=True)
def test_the_curl_of_the_readme_is_accepted(settings: Any, tmp_path: Path) -> None:
    """S-007: address, headers and body exactly as they are shown."""
    from automation.models import Event
    from automation.models.keys import WriteKey

    settings.STATIC_ROOT = tmp_path
    key = WriteKey(name="shop", scopes=[WriteKey.Scope.EVENTS_WRITE])
    token = key.issue()
    key.save()
    (line,) = [line for line in shell_lines("README.md") if line.startswith("curl ")]
    words = shlex.split(line.replace("$BECKON_KEY", token))
    address = next(word for word in words if word.startswith("http")).removeprefix("http://127.0.0.1:8000")
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1]
    answer = Client(headers=headers).post(address, body, content_type=headers.pop("Content-Type"))
    assert answer.status_code == 202
    assert answer.json()["live_url"]
    assert Event.objects.get().name == "cart_abandonment"
