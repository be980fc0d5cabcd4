"""Which device an event came from: normalised, and read from the user agent when it is not said (S-069)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_TYPES: Final = {
    "computer": "desktop",
    "pc": "desktop",
    "laptop": "desktop",
    "web": "desktop",
    "phone": "mobile",
    "smartphone": "mobile",
    "handset": "mobile",
    "iphone": "mobile",
    "android": "mobile",
    "ios": "mobile",
    "ipad": "tablet",
}
_SYSTEMS: Final = {
    "mac os x": "macOS",
    "os x": "macOS",
    "macos": "macOS",
    "macintosh": "macOS",
    "darwin": "macOS",
    "win32": "Windows",
    "windows nt": "Windows",
    "windows": "Windows",
    "ios": "iOS",
    "iphone os": "iOS",
    "ipados": "iPadOS",
    "android": "Android",
    "linux": "Linux",
    "chromeos": "ChromeOS",
    "chrome os": "ChromeOS",
}
_BROWSERS: Final = {
    "google chrome": "Chrome",
    "chrome": "Chrome",
    "chrome mobile": "Chrome",
    "mobile safari": "Safari",
    "safari": "Safari",
    "firefox": "Firefox",
    "mozilla firefox": "Firefox",
    "microsoft edge": "Edge",
    "edge": "Edge",
    "opera": "Opera",
    "samsung internet": "Samsung Internet",
}
_SPELLINGS: Final = {"type": _TYPES, "os": _SYSTEMS, "browser": _BROWSERS}
# Order matters: every browser also claims to be those below it.
_BROWSER_MARKS: Final = (
    (re.compile(r"Edg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(r"OPR/|Opera"), "Opera"),
    (re.compile(r"SamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"Firefox/|FxiOS/"), "Firefox"),
    (re.compile(r"Chrome/|CriOS/|Chromium/"), "Chrome"),
    (re.compile(r"Version/[\d.]+.*Safari/"), "Safari"),
)
_SYSTEM_MARKS: Final = (
    (re.compile(r"iPad"), "iPadOS"),
    (re.compile(r"iPhone|iPod"), "iOS"),
    (re.compile(r"Android"), "Android"),
    (re.compile(r"Windows"), "Windows"),
    (re.compile(r"CrOS"), "ChromeOS"),
    (re.compile(r"Macintosh|Mac OS X"), "macOS"),
    (re.compile(r"Linux|X11"), "Linux"),
)
_BOT = re.compile(r"(?i)bot\b|crawl|spider|slurp|headless")
_AGENT_LENGTH = 1_000


def normalised(device: Mapping[str, Any], user_agent: object = None) -> dict[str, Any]:
    """`device` with type, os and browser in one spelling; what is missing is read from the user agent.

    Other fields are kept as they came.
    """
    result = dict(device)
    agent = user_agent or result.get("user_agent")
    for field in _SPELLINGS:
        value = result.get(field)
        if isinstance(value, str) and value:
            result[field] = _spelt(field, value)
    if isinstance(agent, str) and agent and not all(result.get(f) for f in ("type", "os", "browser")):
        for field, value in from_user_agent(agent[:_AGENT_LENGTH]).items():
            if not result.get(field):
                result[field] = value
    return result


@lru_cache(maxsize=4096)
def _spelt(field: str, value: str) -> str:
    plain = value.strip().lower()
    return _SPELLINGS[field].get(plain, plain if field == "type" else value)


@lru_cache(maxsize=2048)
def from_user_agent(agent: str) -> Mapping[str, str]:
    """Type, os and browser that a User-Agent header gives away; only what is clear."""
    found: dict[str, str] = {}
    if _BOT.search(agent):
        found["type"] = "bot"
    for field, marks in (("os", _SYSTEM_MARKS), ("browser", _BROWSER_MARKS)):
        for mark, value in marks:
            if mark.search(agent):
                found[field] = value
                break
    if "type" not in found and "os" in found:
        is_tablet = found["os"] == "iPadOS" or (found["os"] == "Android" and "Mobile" not in agent)
        is_phone = found["os"] in ("iOS", "Android")
        found["type"] = "tablet" if is_tablet else "mobile" if is_phone else "desktop"
    return found
