"""Texts that staff read go through gettext: whole sentences, in the modules and templates of the admin."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.project import APPS, ROOT, modules, name, tree

# What these calls show of their arguments (by position), and what these keywords and class attributes hold.
SHOWN_ARGUMENTS = {"message_user": 1, "_say": 1, "Part": 0, "Cell": 0, "ValidationError": 0, "add_error": 1}
SHOWN_NAMES = {
    *("title", "page_title", "list_title", "search_help_text", "description", "label", "help_text"),
    *("note", "empty", "button", "verbose_name", "verbose_name_plural"),
}
# A stand-in action, which the preview judges and nobody reads.
NOT_READ = {"automation/admin/preview.py"}

TRANSLATED = re.compile(r"{%\s*blocktrans(?:late)?\b.*?{%\s*endblocktrans(?:late)?\s*%}", re.DOTALL)
COMMENT = re.compile(r"{%\s*comment.*?endcomment\s*%}", re.DOTALL)
TAG = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
SHOWN_ATTRIBUTE = re.compile(r'\b(?:title|aria-label|placeholder|alt|value)="([^"]*)"')
WORD = re.compile(r"[A-Za-z]{2,}")


def shown(module: ast.Module) -> Iterator[ast.expr]:
    """The expressions whose value stands on a page."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield from (keyword.value for keyword in node.keywords if keyword.arg in SHOWN_NAMES)
            place = SHOWN_ARGUMENTS.get(called)
            if place is not None:
                yield from node.args[place : place + 1]
            if called == "Part":
                yield from (cell for names in node.args[1:2] for cell in getattr(names, "elts", ()))
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign):
                    yield from _attributes(line)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in SHOWN_NAMES - {"note", "label"}:
                    yield value
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and _is_fieldset(node.elts[1]):
            yield node.elts[0]


def _attributes(line: ast.Assign) -> Iterator[ast.expr]:
    for target in line.targets:
        many = isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple)
        pairs = zip(target.elts, line.value.elts, strict=True) if many else [(target, line.value)]  # type: ignore[attr-defined]
        yield from (value for name, value in pairs if getattr(name, "id", "") in SHOWN_NAMES)


def _is_fieldset(node: ast.expr) -> bool:
    return isinstance(node, ast.Dict) and any(
        isinstance(key, ast.Constant) and key.value == "fields" for key in node.keys
    )


def plain(node: ast.expr) -> Iterator[ast.expr]:
    """Texts with a word that no gettext sees."""
    if isinstance(node, ast.IfExp):
        yield from (*plain(node.body), *plain(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield from (*plain(node.left), *plain(node.right))
    elif isinstance(node, ast.JoinedStr):
        if any(isinstance(part, ast.Constant) and WORD.search(str(part.value)) for part in node.values):
            yield node
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.search(node.value):
        yield node


def bare(template: str) -> list[str]:
    """Texts of a template, longer than two words, that no translate tag holds."""
    source = TAG.sub("\0", TRANSLATED.sub("\0", COMMENT.sub("\0", template)))
    attributes = SHOWN_ATTRIBUTE.findall(source)
    texts = re.split(r"[\0\n]", re.sub(r"<[^>]*>", "\n", source))
    return [text.strip() for text in (*texts, *attributes) if len(WORD.findall(text)) > 2]


def admin_modules() -> list[Path]:
    return [module for module in modules() if module.parent.name == "admin" and name(module) not in NOT_READ]


def test_texts_of_the_admins_modules_go_through_gettext() -> None:
    found = [
        f"{name(module)}:{text.lineno}: {ast.unparse(text)}"
        for module in admin_modules()
        for expression in shown(tree(module))
        for text in plain(expression)
    ]
    assert found == []


def test_texts_of_the_admins_templates_stand_in_translate_tags() -> None:
    templates = [path for app in APPS for path in (ROOT / app).glob("templates/admin/**/*.html")]
    assert len(templates) > 30
    found = [f"{name(path)}: {text}" for path in templates for text in bare(path.read_text())]
    assert found == []


def test_the_elements_write_numbers_and_times_in_the_pages_language() -> None:
    scripts = [path for app in APPS for path in (ROOT / app).glob("static/**/*.js")]
    found = [name(path) for path in scripts if re.search(r"toLocale\w*String\(\s*[\"']", path.read_text())]
    assert found == []


def test_what_is_looked_for_is_found() -> None:
    written = (
        'class A:\n    title = "a day"\n\n    def f(self, r):\n        self.message_user(r, f"{r} done")\n'
    )
    assert len([text for expression in shown(ast.parse(written)) for text in plain(expression)]) == 2
    assert bare('<p title="{{ x }}">This is bare</p>{% translate "This is not bare" %}') == ["This is bare"]
