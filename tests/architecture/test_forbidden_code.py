"""What reliability.md and the house rules forbid, looked for in the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.architecture.project import APPS, ROOT, modules, name, tracked_files, tree

# Programs that run before there are settings, or start themselves anew with others.
READS_ENVIRONMENT = {
    "config/settings.py",
    "config/embedded.py",
    "config/servers.py",
    "config/keeper.py",
    "config/server_commands.py",
    "analytics/management/commands/demo.py",
}
DELAYING = {"eta", "countdown"}
RETRYING = {"retry", "send_task"}
SIGNALS = re.compile(r"^django\..*\bsignals?$|^django\.dispatch")


def places(module: Path, found: Iterator[ast.AST]) -> list[str]:
    return [f"{name(module)}:{node.lineno}" for node in found]  # type: ignore[attr-defined]


def everywhere(finder: Callable[[ast.AST], Iterator[ast.AST]]) -> list[str]:
    return [place for module in modules() for place in places(module, finder(tree(module)))]


def calls(root: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(root) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """Last name of what is called: `a.b.c()` is `c`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_no_task_waits_in_the_broker() -> None:
    """Delays are rows with due_at: eta, countdown and Task.retry run many times or get lost (M21)."""

    def finder(root: ast.AST) -> Iterator[ast.AST]:
        for call in calls(root):
            if {keyword.arg for keyword in call.keywords} & DELAYING:
                yield call
            if called(call) in RETRYING and isinstance(call.func, ast.Attribute):
                yield call

    assert everywhere(finder) == []


def test_only_queues_publishes() -> None:
    def finder(root: ast.AST) -> Iterator[ast.AST]:
        return (call for call in calls(root) if called(call) in {"apply_async", "delay"})

    assert {place.partition(":")[0] for place in everywhere(finder)} <= {"automation/queues.py"}


def test_no_django_signal_is_used() -> None:
    """But for log-ins, which Django and django-axes announce in no other way."""

    def finder(root: ast.AST) -> Iterator[ast.AST]:
        for node in ast.walk(root):
            if isinstance(node, ast.ImportFrom) and SIGNALS.search(node.module or ""):
                yield node

    assert {place.partition(":")[0] for place in everywhere(finder)} == {"automation/audit/logins.py"}


def test_the_environment_is_read_in_settings_only() -> None:
    """Handing the whole environment on to a child is fine; looking up a variable is not."""

    def is_environ(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "environ"

    def finder(root: ast.AST) -> Iterator[ast.AST]:
        for node in ast.walk(root):
            if isinstance(node, ast.Subscript) and is_environ(node.value) and isinstance(node.ctx, ast.Load):
                yield node
            if isinstance(node, ast.Attribute) and (
                node.attr == "getenv" or (node.attr in {"get", "items"} and is_environ(node.value))
            ):
                yield node

    readers = {place.partition(":")[0] for place in everywhere(finder)}
    assert readers - READS_ENVIRONMENT == set()


def test_settings_are_reached_through_django_only() -> None:
    def finder(root: ast.AST) -> Iterator[ast.AST]:
        for node in ast.walk(root):
            if isinstance(node, ast.ImportFrom) and node.module == "config.settings":
                yield node
            if isinstance(node, ast.Import) and any(alias.name == "config.settings" for alias in node.names):
                yield node

    assert [place for place in everywhere(finder) if not place.startswith(("manage.py", "config/"))] == []


def test_no_exception_is_swallowed_unseen() -> None:
    """`except Exception` has to do something with what it caught; a bare except is never right."""

    def finder(root: ast.AST) -> Iterator[ast.AST]:
        for node in ast.walk(root):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            silent = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            if node.type is None or (broad and silent):
                yield node

    assert everywhere(finder) == []


def test_nothing_is_left_unfinished() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|# *stub")
    found = [
        f"{name(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_no_file_names_a_path_of_one_machine() -> None:
    local = re.compile(r"/(?:home|Users)/[a-z]+/|(?<![\w.])/(?:" + "|".join(("work", "root")) + r")/\w")
    binary = {".png", ".jpg", ".gif", ".ico", ".woff2", ".gz", ".webp"}
    found = [
        f"{name(path)}:{number}"
        for path in tracked_files()
        if path.suffix not in binary
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if local.search(line)
    ]
    assert found == []


def test_no_test_switches_itself_off_without_a_reason() -> None:
    bare = re.compile(r"mark\.(skip|xfail)(?!if)\b(?!\()|mark\.(skip|xfail)\(\)|skipif\([^)]*\)$")
    found = [
        name(path)
        for path in (ROOT / "tests").rglob("test_*.py")
        for line in path.read_text().splitlines()
        if bare.search(line) and "reason=" not in line and path != Path(__file__)
    ]
    assert found == []


def test_the_apps_are_the_ones_of_the_design() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders - {"tests", "benchmarks"} == set(APPS)
