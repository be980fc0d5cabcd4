"""The pictures of the documentation: `make screenshots` draws them anew, of a demo that it makes for them.

`--url` takes them of a demo that runs already. The names are those the pages use; the seed of the demo is fixed,
its times are relative to now. What the demo lacks for them is made first (screenshots_stage).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from tests.browser.chromium import MISSING, QUIET, chromium
from tests.screenshots_stage import MARKETER, PUBLISHED, SHOWN, Stage

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DEMO = ("demo", "--json", "--seed=7", "--customers=400", "--events=6000", "--port=8600")
WIDE, TALL, PHONE = (
    {"width": width, "height": height} for width, height in ((1280, 860), (1280, 2300), (400, 1400))
)
TALLEST = 1050  # Pixels; a longer page is cut off below, a tall window is not.
LARGEST = 360_000  # Bytes.
LINK = "#result_list tbody a[href*='/change/']"
ADMIN = "/admin/"
HELD_BACK = "automation/execution/?status=suppressed&reason=frequency_cap"
# The bar that saves sticks to the window, which is as tall as the picture; nothing has the focus.
_AT_REST = """() => { document.activeElement?.blur(); scrollTo(0, 0);
    const sheet = new CSSStyleSheet(); sheet.replaceSync('.submit-row { position: static !important }');
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    const chosen = document.querySelector('.preview-people [aria-pressed=true]');
    const side = chosen?.closest('.editor-side');
    if (side) side.scrollTop += chosen.getBoundingClientRect().top - side.getBoundingClientRect().top - 24; }"""
# Name of the picture -> page; and -> list, of which it shows the first record.
PAGES = {
    "overview": "",
    "live-events": "automation/event/live/",
    "triggers": "automation/trigger/",
    "customers": "profiles/profile/",
    "decisions": "automation/execution/",
    "deliveries": "automation/delivery/",
    "tasks": "automation/task/",
    "segments": "profiles/segment/",
}
FIRST_OF = {
    "decision": HELD_BACK,
    "customer": "profiles/profile/",
    "template": "automation/template/",
}


@contextmanager
def demo() -> Iterator[str]:
    """The address of a demo of its own, ended afterwards."""
    folder = tempfile.mkdtemp(prefix="beckon-screenshots-")
    command = [sys.executable, "manage.py", *DEMO, f"--folder={folder}"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())["url"].removesuffix(ADMIN)
    finally:
        running.terminate()
        running.wait()
        shutil.rmtree(folder, ignore_errors=True)


class Camera:
    """One window of a marketer."""

    def __init__(self, browser: Any, url: str, *, has_sidebar: bool = True, **context: Any) -> None:
        window = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context})
        if not has_sidebar:
            window.add_init_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
        self.page = window.new_page()
        self.url = url
        self.go(f"{ADMIN}login/")
        self.page.fill("#id_username", MARKETER[0])
        self.page.fill("#id_password", MARKETER[1])
        self.page.click("input[type=submit]")

    def go(self, path: str) -> None:
        self.page.goto(self.url + path, wait_until="load")

    def follow(self, selector: str) -> None:
        """To where the first such link leads."""
        address = self.page.locator(selector).first.get_attribute("href")
        self.page.goto(
            address if "://" in address else self.page.evaluate("a => new URL(a, location).href", address)
        )

    def take(self, name: str, *, until: str = "") -> None:
        """The page from its top to the end of `until`, as docs/images/<name>.png."""
        self.page.wait_for_timeout(900)  # The preview asks after half a second; charts and badges follow.
        self.page.evaluate(_AT_REST)
        window = self.page.viewport_size
        height = min(
            max(TALLEST, window["height"]), self.page.evaluate("document.documentElement.scrollHeight")
        )
        if until:
            box = self.page.locator(until).first.bounding_box()
            height = min(height, box["y"] + box["height"] + 24)
        clip = {"x": 0, "y": 0, "width": window["width"], "height": height}
        path = IMAGES / f"{name}.png"
        self.page.screenshot(path=str(path), full_page=True, clip=clip)
        size = path.stat().st_size
        print(f"{size:>8,} bytes  {path.relative_to(ROOT)}")
        assert size <= LARGEST, f"{name} is larger than {LARGEST:,} bytes"

    def open_trigger(self, name: str, page: str = "change") -> None:
        """A page of the trigger of this name."""
        self.go(f"{ADMIN}automation/trigger/?q={quote_plus(name)}")
        exact = self.page.get_by_role("link", name=name, exact=True)
        address = exact.first.get_attribute("href").partition("?")[0]
        self.go(address.replace("/change/", f"/{page}/"))


def editor(camera: Camera, name: str, *, is_asked_why: bool = False) -> None:
    """The trigger's page, with the preview answered; asked why, with a person stopped inside of a group."""
    camera.open_trigger(SHOWN)
    camera.page.wait_for_selector(".preview-people button", timeout=60_000)
    if is_asked_why:
        choose_stopped(camera.page)
    camera.take(name, until=".editor-columns")


def choose_stopped(page: Any) -> None:
    """Somebody whom a group stopped; raises LookupError when the demo has nobody like that."""
    people = page.locator(".preview-people button[data-outcome=not_met]")
    for number in range(people.count()):
        people.nth(number).click()
        page.wait_for_selector(".preview-people button[aria-pressed=true]")
        page.wait_for_selector("[data-verdict]")
        page.wait_for_timeout(400)
        for group in ("/conditions/1", "/conditions/2"):
            said = page.locator(f'[data-card="{group}"] > .builder-verdict')
            if said.count() and "stopped here" in said.inner_text():
                return
    raise LookupError("a group stopped nobody")


def why_not(camera: Camera) -> None:
    """From a decision that held back to its customer's page that says why."""
    camera.go(ADMIN + HELD_BACK)
    camera.follow(LINK)
    ids = {
        model: camera.page.locator(f"#content a[href*='/{model}/']").first.get_attribute("href")
        for model in ("profiles/profile", "automation/trigger", "automation/event")
    }
    customer, trigger, event = (re.findall(r"/(\d+)/", address)[0] for address in ids.values())
    camera.go(f"{ADMIN}profiles/profile/{customer}/why/?trigger={trigger}&event={event}")
    camera.take("customer-why-not")


def take_all(browser: Any, url: str) -> None:
    """Every page of the marketers' admin."""
    stage = Stage(browser, url)
    stage.set()
    camera = Camera(browser, url)
    for name, path in PAGES.items():
        camera.go(ADMIN + path)
        camera.take(name)
    for name, path in FIRST_OF.items():
        camera.go(ADMIN + path)
        camera.follow(LINK)
        camera.take(name)
    camera.open_trigger(PUBLISHED, page="versions")
    camera.take("trigger-versions")
    why_not(camera)
    camera.page.context.close()
    wide = Camera(browser, url, has_sidebar=False, viewport=TALL)
    wide.go(f"{ADMIN}automation/trigger/add/")
    wide.take("trigger-recipes", until=".editor-columns")
    editor(wide, "trigger-editor")
    editor(wide, "trigger-why-not", is_asked_why=True)
    dark = Camera(browser, url, has_sidebar=False, viewport=TALL, color_scheme="dark")
    editor(dark, "trigger-editor-dark")
    editor(Camera(browser, url, viewport=PHONE), "trigger-editor-phone")
    stage.change()
    wide.page.set_viewport_size(WIDE)
    wide.open_trigger(PUBLISHED, page="publish")
    wide.take("trigger-confirmation")


def main() -> None:
    """Start what is needed, take the pictures, end it."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a demo that runs already, such as http://127.0.0.1:8000")
    options = parser.parse_args()
    with sync_playwright() as driver:
        path = chromium(Path(driver.chromium.executable_path))
        if not path:
            sys.exit(MISSING)
        browser = driver.chromium.launch(executable_path=path, args=list(QUIET))
        if options.url:
            take_all(browser, options.url.rstrip("/"))
        else:
            with demo() as url:
                take_all(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
