"""A real browser and a real server; where no browser can be had, these tests are skipped and say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import MISSING, QUIET, chromium


@pytest.fixture(scope="session", autouse=True)
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whitenoise warns when collectstatic has not run; here it need not have."""
    from django.conf import settings

    before, settings.STATIC_ROOT = settings.STATIC_ROOT, tmp_path_factory.mktemp("static")
    yield
    settings.STATIC_ROOT = before


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install -r requirements-dev.txt")
    # Playwright's loop runs in this thread; Django would take each query for one made inside of it.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with playwright.sync_playwright() as driver:
            path = chromium(Path(driver.chromium.executable_path))
            if not path:
                pytest.skip(MISSING)
            started = driver.chromium.launch(executable_path=path, headless=True, args=list(QUIET))
            yield started
            started.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def editor(browser: Any, live_server: Any) -> Iterator[Any]:
    """`editor()` is a window on the trigger editor of a small shop; at the end none may have complained."""
    from tests.browser.editor import Editor, shop

    shop()
    opened: list[Any] = []

    def start(**options: Any) -> Any:
        opened.append(Editor(browser, live_server.url, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    assert [text for one in opened for text in one.complaints] == []
