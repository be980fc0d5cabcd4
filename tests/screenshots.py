"""The pictures of the documentation: `make screenshots` draws them anew, of a demo that it makes for them.

`--url` takes them of a demo that runs already. The names are those the pages use; the seed of the demo is fixed,
its times are relative to now.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.chromium import MISSING, QUIET, chromium

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DEMO = ("demo", "--json", "--seed=7", "--customers=400", "--events=6000", "--port=8600")
WIDE, TALL, PHONE = (
    {"width": width, "height": height} for width, height in ((1280, 860), (1280, 1200), (400, 860))
)
TALLEST = 1050  # Pixels; a longer page is cut off below, a tall window is not.
LARGEST = 300_000  # Bytes.
TRIGGER = "Cart recovery"
LINK = "#result_list tbody a[href*='/change/']"
ADMIN = "/admin/"
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
    "decision": "automation/execution/?status__exact=suppressed",
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
    """One signed-in window."""

    def __init__(self, browser: Any, url: str, *, has_sidebar: bool = True, **context: Any) -> None:
        window = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context})
        if not has_sidebar:
            window.add_init_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
        self.page = window.new_page()
        self.url = url
        self.go(f"{ADMIN}login/")
        self.page.fill("#id_username", "demo")
        self.page.fill("#id_password", "demo")
        self.page.click("input[type=submit]")

    def go(self, path: str) -> None:
        self.page.goto(self.url + path, wait_until="load")

    def follow(self, selector: str) -> None:
        """To where the first such link leads."""
        address = self.page.locator(selector).first.get_attribute("href")
        self.page.goto(
            address if "://" in address else self.page.evaluate("a => new URL(a, location).href", address)
        )

    def take(self, name: str) -> None:
        """The page from its top, as docs/images/<name>.png."""
        self.page.wait_for_timeout(900)  # The preview asks after half a second; charts and badges follow.
        self.page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
        window = self.page.viewport_size
        height = min(
            max(TALLEST, window["height"]), self.page.evaluate("document.documentElement.scrollHeight")
        )
        clip = {"x": 0, "y": 0, "width": window["width"], "height": height}
        path = IMAGES / f"{name}.png"
        self.page.screenshot(path=str(path), full_page=True, clip=clip)
        size = path.stat().st_size
        print(f"{size:>8,} bytes  {path.relative_to(ROOT)}")
        assert size <= LARGEST, f"{name} is larger than {LARGEST:,} bytes"

    def open_trigger(self, name: str = TRIGGER, page: str = "change") -> None:
        """A page of the trigger of this name."""
        self.go(f"{ADMIN}automation/trigger/?q={name.replace(' ', '+')}")
        address = self.page.locator(LINK).first.get_attribute("href").partition("?")[0]
        self.go(address.replace("/change/", f"/{page}/"))


def editor(camera: Camera, name: str, trigger: str = TRIGGER, *, person: str = "") -> None:
    """The trigger's page, with the preview answered; with a person of that outcome on the cards."""
    camera.open_trigger(trigger)
    camera.page.wait_for_selector(".preview-people button", timeout=60_000)
    if person:
        camera.page.locator(f".preview-people button{person}").last.click()
        camera.page.wait_for_selector("[data-verdict]")
    camera.take(name)


def confirmation(camera: Camera) -> None:
    """The trigger with another number in it, saved: what going live would change."""
    camera.open_trigger()
    camera.page.wait_for_selector(".builder-card")
    camera.page.evaluate(
        """() => { const field = [...document.querySelectorAll('.builder-card input')].find(one => one.value === '50');
            field.value = '80';
            for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true})); }"""
    )
    camera.page.click("input[name=_save]")
    camera.page.wait_for_selector("input[name=_publish]")
    camera.take("trigger-confirmation")


def take_all(browser: Any, url: str) -> None:
    """Every page of the marketers' admin."""
    camera = Camera(browser, url)
    for name, path in PAGES.items():
        camera.go(ADMIN + path)
        camera.take(name)
    for name, path in FIRST_OF.items():
        camera.go(ADMIN + path)
        camera.follow(LINK)
        camera.take(name)
    camera.open_trigger(page="versions")
    camera.take("trigger-versions")
    camera.go(f"{ADMIN}profiles/profile/")
    camera.follow(LINK)
    camera.follow("a[href*='/why/']")
    camera.page.locator("#content select").first.select_option(index=2)
    camera.page.locator("#content button[type=submit], #content input[type=submit]").first.click()
    camera.page.wait_for_load_state("load")
    camera.take("customer-why-not")
    camera.page.context.close()
    wide = Camera(browser, url, has_sidebar=False, viewport=TALL)
    wide.go(f"{ADMIN}automation/trigger/add/")
    wide.take("trigger-recipes")
    editor(wide, "trigger-editor")
    editor(wide, "trigger-why-not", "Milestone", person="[data-outcome=not_met]")
    dark = Camera(browser, url, has_sidebar=False, viewport=TALL, color_scheme="dark")
    editor(dark, "trigger-editor-dark")
    editor(Camera(browser, url, viewport=PHONE), "trigger-editor-phone")
    confirmation(wide)


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
