"""No secret is in the repository or in the database, no pattern of a user reaches `re`, no start with a known key."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from automation.engine.conditions import node_adapter
from tests.architecture.project import ROOT

PACKAGES = ("config", "profiles", "automation", "analytics")
PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}"),
    "a write key": re.compile(r"\bbk_live_[0-9a-f]{8}_([\w-]{43})\b"),
    "a webhook secret": re.compile(r"\bwhsec_([A-Za-z0-9+/]{32,}=*)"),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)([0-9A-Z]{16})\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_|github_pat_)(\w{30,})\b"),
    "a token of Slack": re.compile(r"\bxox[abprs]-([\w-]{10,})"),
    "a key of Stripe, OpenAI or SendGrid": re.compile(r"\b(?:[sr]k_live_|sk-|SG\.)([\w-]{20,})"),
    "a key of Google": re.compile(r"\bAIza([\w-]{35})"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.([\w-]{10,})"),
}
# The example in the specification of Standard Webhooks, known to everybody.
PUBLISHED = frozenset({"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})


def files() -> Iterator[Path]:
    """Every file that would be published."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = [name for name in listed.stdout.split("\0") if name]
    if not names:  # An archive without git.
        names = [
            str(p.relative_to(ROOT))
            for folder in (*PACKAGES, "tests", "docs")
            for p in (ROOT / folder).rglob("*")
        ]
    yield from (ROOT / name for name in names if (ROOT / name).is_file())


def secrets_in(text: str) -> list[str]:
    """What looks like a real secret: random, not `xxxx…`."""
    found = []
    for what, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            random_part = match[1] if pattern.groups else match[0]
            # An example says plainly that it is one.
            if len(set(random_part)) > 8 and random_part.rstrip("=") not in PUBLISHED:
                found.append(f"{what}: {match[0][:20]}…")
    return found


def test_the_scan_finds_what_it_looks_for() -> None:
    real = "bk_live_0a1b2c3d_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA-_bCdEfGhIj"
    assert secrets_in(f"key = '{real}'") == ["a write key: bk_live_0a1b2c3d_aB3…"]
    assert secrets_in("bk_live_00000000_" + "x" * 43) == []
    assert secrets_in("-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEowIBAAKCAQEA0123456789abc") != []


def test_no_secret_is_in_the_repository() -> None:
    """R-054: 0 hits; keys in pages and tests are plainly made up."""
    hits = {}
    for file in files():
        try:
            text = file.read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # A picture, or gone meanwhile.
        if found := secrets_in(text):
            hits[str(file.relative_to(ROOT))] = found
    assert hits == {}


def test_the_database_has_no_place_for_a_secret() -> None:
    """R-054: of secrets it stores names of variables and hashes at most. Django's own password column is a hash."""
    suspicious = re.compile(r"secret|password|token|api_?key|credential", re.IGNORECASE)
    found = {
        f"{model._meta.label}.{field.name}"
        for name in ("automation", "profiles", "analytics")
        for model in apps.get_app_config(name).get_models()
        for field in model._meta.get_fields()
        if suspicious.search(field.name)
    }
    assert found == set()


@pytest.mark.parametrize(("key", "starts"), [("", False), ("x" * 60, True)])
def test_a_server_with_a_database_of_its_own_does_not_start_without_a_key(
    tmp_path: Path, key: str, starts: bool
) -> None:
    """R-054: no default SECRET_KEY with DEBUG off; the message says how to make one."""
    env = {
        **{name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DEBUG")},
        "DATABASE_URL": "postgres://u:p@127.0.0.1:1/x",
        "BECKON_HOME": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **({"SECRET_KEY": key} if key else {}),
    }
    command = [sys.executable, "-c", "import django; django.setup(); print('started')"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ("started" in done.stdout) is starts
    if not starts:
        assert "SECRET_KEY is not set" in done.stderr
        assert "secrets.token_urlsafe" in done.stderr


# --- Regular expressions


@pytest.mark.parametrize(
    "operator", ["matches", "regex", "matches_regex", "not_matches", "re", "like", "similar_to"]
)
@pytest.mark.parametrize("value", ["(a+)+$", "a"])
def test_no_condition_takes_a_pattern(operator: str, value: str) -> None:
    """T18, R-044: `matches` is off: refused when a trigger is saved, as an operator that is not known."""
    row = {"field": "title", "operator": operator, "value": value}
    for node in (
        {"type": "event_match", "event_type": "x", "data_conditions": [row]},
        {"type": "customer_attribute", **row, "attribute": "title"},
        {
            "type": "sequence",
            "sequence": [{"event_type": "x", "data_conditions": [row]}, {"event_type": "y"}],
        },
    ):
        with pytest.raises(ValueError, match="operator"):
            node_adapter.validate_python(node)


def patterns_of(tree: ast.Module) -> Iterator[ast.expr]:
    """The first argument of every call of a function of `re`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if isinstance(node.func.value, ast.Name) and node.func.value.id in ("re", "re2", "regex"):
                if node.func.attr not in ("escape", "error"):
                    yield node.args[0]


def is_ours(pattern: ast.expr) -> bool:
    """Whether a pattern is written in the code: a text, or constants put together."""
    if isinstance(pattern, ast.Constant):
        return True
    if isinstance(pattern, ast.Name):
        return pattern.id.isupper() or pattern.id.lstrip("_").isupper()
    if isinstance(pattern, ast.JoinedStr):
        return all(
            isinstance(part, ast.Constant) or (isinstance(part, ast.FormattedValue) and is_ours(part.value))
            for part in pattern.values
        )
    if isinstance(pattern, ast.BinOp):
        return is_ours(pattern.left) and is_ours(pattern.right)
    if isinstance(pattern, ast.Attribute):  # `self.ready_pattern` of the programs that we start ourselves.
        return pattern.attr == "ready_pattern"
    return False


def test_no_pattern_of_a_user_reaches_re() -> None:
    """T18, R-044: every pattern stands in the code, so nobody can make one that takes for ever."""
    foreign = []
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for pattern in patterns_of(ast.parse(file.read_text())):
                if not is_ours(pattern):
                    foreign.append(f"{file.relative_to(ROOT)}:{pattern.lineno}: {ast.unparse(pattern)}")
    assert foreign == []
