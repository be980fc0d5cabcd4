"""One browser window, and everything that it, the policy and axe-core complain about."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from django.urls import reverse

PASSWORD = "a long and unusual passphrase"
WIDE, PHONE = {"width": 1300, "height": 900}, {"width": 400, "height": 800}
SHOTS = os.environ.get("BECKON_SHOTS", "")  # A folder for pictures of each page, for people.
_AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# WCAG 2.0 and 2.1, levels A and AA. What a colour does not change is asked in one theme only.
_ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# The frame around every page is the same; it is looked at once.
_RUN = """async ([only, apart]) => (await axe.run({exclude: apart},
    {runOnly: only, resultTypes: ['violations'], preload: false})).violations
    .map(v => v.id + ': ' + v.nodes.slice(0, 3)
        .map(n => `${n.target.join(' ')} ${n.any[0]?.message ?? n.all[0]?.message ?? ''}`).join(' | '))"""
# Django animates colours when the theme changes; axe would read the middle of it.
_STILL = """() => { const sheet = new CSSStyleSheet();
    sheet.replaceSync('*, *::before, *::after { transition: none !important; animation: none !important }');
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]; }"""
_TOO_WIDE = """() => { const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room && document.body.scrollWidth <= room) return [];
    const right = e => Math.round(e.getBoundingClientRect().left + Math.max(e.offsetWidth, e.scrollWidth));
    const scrolls = e => { for (let p = e; p && p !== document.body; p = p.parentElement)
        if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
    const far = [...document.body.querySelectorAll('*')].filter(e => right(e) > room + 1 && !scrolls(e)).slice(-3);
    return [`the page is ${document.documentElement.scrollWidth} wide: `
        + far.map(e => `${e.tagName.toLowerCase()}.${e.className} ends at ${right(e)}`).join(', ')]; }"""


class Visit:
    """`open` pages, then read `complaints`: of scripts, of the policy, of requests, and by `examine` of axe."""

    def __init__(self, browser: Any, base: str, **context: Any) -> None:
        self.page = browser.new_context(viewport=WIDE, **context).new_page()
        self.base = base
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _note(self, message: Any) -> None:
        # Chromium reports the status of a page that answers 4xx in the same place.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(message.text)

    def _failed(self, request: Any) -> None:
        # What a page still had under way when it was left is given up, and that is no fault.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url} failed: {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            self.complaints.append(f"{response.url} answered {response.status}")

    def open(self, path: str, name: str = "") -> int:
        """Go there and return the status."""
        answer = self.page.goto(self.base + path, wait_until="load")
        if SHOTS and name:
            self.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)
        return int(answer.status)

    def log_in(self, name: str, password: str) -> None:
        """Fill in the log-in page."""
        self.page.goto(f"{self.base}{reverse('admin:login')}")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("input[type=submit]")
        self.page.wait_for_load_state("load")

    def examine(self, *, is_first: bool = False, with_axe: bool = True) -> None:
        """The open page in both themes by axe-core, and at 400 pixels; what is wrong joins the complaints."""
        if with_axe:
            self._ask_axe([] if is_first else [["#header"], ["#nav-sidebar"]])
        self.page.set_viewport_size(PHONE)
        self.complaints += [f"at 400 px: {found}" for found in self.page.evaluate(_TOO_WIDE)]
        self.page.set_viewport_size(WIDE)

    def _ask_axe(self, apart: list[list[str]]) -> None:
        page = self.page
        page.evaluate(_STILL)
        page.evaluate(_AXE)  # By the debugger, which the policy of the page does not stop.
        for theme, only in (("light", _ALL), ("dark", _COLOURS)):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            self.complaints += [f"{theme}: {found}" for found in page.evaluate(_RUN, [only, apart])]
