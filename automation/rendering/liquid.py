"""Liquid for texts that marketers write and customers fill: fast, and unable to do harm (R-042).

Nothing can be loaded (no include, no render), values are plain data, and loops, output, names, depth and
time are limited. In HTML everything that is output is escaped, with no way to switch that off. A variable
that is not known renders empty and is reported.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from liquid import BoundTemplate, Environment, RenderContext, Undefined
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, ResourceLimitError

MAX_SOURCE = 256 * 1024  # Characters of one template.
MAX_OUTPUT = 256 * 1024
MAX_ITEMS = 20_000  # Of a list that a filter makes.
MAX_NUMBER = 10**30
BUDGET_SECONDS = 0.035  # Processor time after which a render is ended: of 50 ms, for one step takes a few.
MAX_UNKNOWN = 20
_TAKE_LISTS = frozenset({"concat", "default", "json"})  # Filters whose arguments may be lists.

_found = threading.local()  # The unknown variables of the render that runs in this thread.


class TemplateError(ValueError):
    """A template that cannot be read, or that broke a limit; the text says where."""


class Text(NamedTuple):
    """What a template gave."""

    text: str
    unknown: tuple[str, ...]  # Variables that were output and are not known, each once.


class _Unknown(Undefined):
    """Renders empty, and is noted when it is output; `default` and `if` may ask for it freely."""

    __slots__ = ()

    def __str__(self) -> str:
        names: list[str] | None = getattr(_found, "names", None)
        if names is not None and len(names) < MAX_UNKNOWN:
            name = (self.hint or self.name).removesuffix(" is undefined").strip("'")
            if name not in names:
                names.append(name)
        return ""


class _Context(RenderContext):
    """A render context with a clock, and filters that cannot make more than the output may hold."""

    __slots__ = ("_asked", "_deadline", "_disabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._asked = 0
        self._deadline = time.thread_time() + BUDGET_SECONDS
        super().__init__(*args, **kwargs)

    @property
    def disabled_tags(self) -> list[str]:
        """Every node asks for these before it is rendered, so no node runs without the clock."""
        self._tick()
        return self._disabled

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        self._disabled = tags

    def get(self, path: list[object], **kwargs: Any) -> object:
        self._tick()
        return super().get(path, **kwargs)

    def filter(self, name: str, token: Any) -> Callable[..., object]:
        self._tick()
        function = super().filter(name, token)

        def bounded(value: object, *args: object, **kwargs: object) -> object:
            _check_arguments(name, value, args)
            return _checked(function(value, *args, **kwargs))

        return bounded

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self._tick()
        super().raise_for_loop_limit(length)

    def _tick(self) -> None:
        self._asked += 1
        if self._asked % 8 == 0 and time.thread_time() > self._deadline:
            raise ResourceLimitError("it takes too long", token=None)


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    block_nesting_limit = 20
    context_depth_limit = 20
    loop_iteration_limit = 10_000
    local_namespace_limit = 1024 * 1024
    output_stream_limit = MAX_OUTPUT
    template_class = _Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in ("include", "render"):
            del self.tags[tag]
        del self.filters["safe"]  # Escaping is not the template's choice.
        self.add_filter("json", _as_json)


@lru_cache(maxsize=512)
def compile(source: str, *, is_html: bool = False) -> BoundTemplate:
    """The parsed template. Raises TemplateError, with the line."""
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"The template has more than {MAX_SOURCE} characters.")
    try:
        return (_HTML if is_html else _TEXT).from_string(source)
    except (LiquidError, RecursionError) as error:
        raise TemplateError(_words(error)) from error


def render(template: BoundTemplate, context: Mapping[str, Any]) -> Text:
    """Fill a template. Raises TemplateError when it fails or breaks a limit."""
    names: list[str] = []
    _found.names = names
    try:
        return Text(template.render(context), tuple(names))
    except (LiquidError, RecursionError, ArithmeticError, ValueError, TypeError, LookupError) as error:
        raise TemplateError(_words(error)) from error
    finally:
        _found.names = None


def evaluate(source: str, context: Mapping[str, Any]) -> Any:
    """The value of a text that may hold Liquid.

    A single `{{ expression }}` keeps its type (a number stays a number); anything else is rendered to text.
    """
    if "{{" not in source and "{%" not in source:
        return source
    template = compile(source)
    nodes = template.nodes
    if len(nodes) != 1 or not isinstance(nodes[0], OutputNode):
        return render(template, context).text
    try:
        value = nodes[0].expression.evaluate(_Context(template, globals=template.make_globals(context)))
    except (LiquidError, RecursionError, ArithmeticError, ValueError, TypeError, LookupError) as error:
        raise TemplateError(_words(error)) from error
    return None if isinstance(value, Undefined) else _plain(value)


def _plain(value: Any) -> Any:
    """JSON data of an expression's value: ranges become lists, marked-up text becomes text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, range):
        return list(value[:MAX_ITEMS])
    return value if isinstance(value, bool | int | float | list | dict | None) else str(value)


def _check_arguments(name: str, value: object, args: tuple[object, ...]) -> None:
    """Refuse, before it happens, what could make very much of little in one step."""
    if any(isinstance(one, range) and len(one) > MAX_ITEMS for one in (value, *args)):
        raise ResourceLimitError("the range is too long", token=None)
    if (
        isinstance(value, list | tuple | range)
        and name not in _TAKE_LISTS
        and any(isinstance(one, list | tuple | dict | range) for one in args)
    ):
        # The name of a key, which is written out anew for each item of the list.
        raise ResourceLimitError("a filter of a list takes a text or a number", token=None)
    if name in ("replace", "replace_first", "replace_last") and args:
        text, old = str(value), str(args[0])
        new = str(args[1]) if len(args) > 1 else ""
        if len(text) + text.count(old) * len(new) > MAX_OUTPUT:
            raise ResourceLimitError("a filter makes too long a text", token=None)
    elif name == "join" and isinstance(value, list | tuple | range):
        gap = len(str(args[0])) if args else 1
        if len(value) > MAX_ITEMS or sum(len(str(item)) + gap for item in value) > MAX_OUTPUT:
            raise ResourceLimitError("a filter makes too long a text", token=None)
    elif name == "uniq" and isinstance(value, list | tuple) and len(value) > 1000:  # It is quadratic.
        raise ResourceLimitError("the list is too long", token=None)
    elif name == "date" and args and re.search(r"%[-_0^#+]*\d", str(args[0])):
        raise ResourceLimitError("a date format may not name a width", token=None)


def _checked(value: object) -> object:
    is_too_much = (
        (isinstance(value, str) and len(value) > MAX_OUTPUT)
        or (isinstance(value, list | tuple) and len(value) > MAX_ITEMS)
        or (isinstance(value, int) and abs(value) > MAX_NUMBER)
    )
    if is_too_much:
        raise ResourceLimitError("a filter makes too much", token=None)
    return value


def _as_json(value: object) -> str:
    """The value as JSON; `</` is split, so that it is safe inside a script element too."""
    value = None if isinstance(value, Undefined) else value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).replace("</", "<\\/")


def _words(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "The template is nested too deeply."
    lines = str(getattr(error, "message", None) or error).strip().splitlines() or [type(error).__name__]
    context = error.context() if isinstance(error, LiquidError) else None
    return f"{lines[0][:200]} (line {context[0]})" if context else lines[0][:200]


_TEXT = _Environment(undefined=_Unknown)
_HTML = _Environment(undefined=_Unknown, autoescape=True)
