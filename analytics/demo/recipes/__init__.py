"""The recipes of the demo shop: the triggers of `automation.recipes` with the mails that this shop sends.

`<key>.json` holds the subject; `<key>.html` and `<key>.txt` hold what the mail says, in Liquid. layout.html is
put around every HTML body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from automation import recipes as triggers

_HERE: Final = Path(__file__).parent
KEYS: Final = (
    "welcome",
    "browse_reminder",
    "cart_recovery",
    "order_thanks",
    "payment_failed",
    "refund_follow_up",
    "milestone",
    "win_back",
    "vip",
    "security_notice",
)
_FOOTERS: Final = {
    "marketing": (
        'You get this because you agreed to hear from Fern &amp; Bean. <a class="link" '
        'href="{{ unsubscribe_url }}">Unsubscribe</a> with one click.',
        "You get this because you agreed to hear from Fern & Bean. Unsubscribe: {{ unsubscribe_url }}",
    ),
    "transactional": (
        "You get this because of your account or an order at Fern &amp; Bean. It is not advertising.",
        "You get this because of your account or an order at Fern & Bean. It is not advertising.",
    ),
}
# Mail programs drop style sheets, so classes become style attributes.
_STYLES: Final = {
    "page": "margin:0;padding:0;background:#f3efe8;color:#2d2823;"
    "font:16px/1.55 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif",
    "hidden": "display:none;max-height:0;overflow:hidden",
    "outer": "padding:28px 12px",
    "frame": "width:100%;max-width:560px",
    "brand": "padding:0 4px 14px;font-size:20px;font-weight:700;letter-spacing:.3px;color:#3f6b4f",
    "card": "background:#fff;border-radius:14px;padding:32px 34px",
    "footer": "padding:16px 6px;font-size:13px;line-height:1.5;color:#7b7167",
    "title": "margin:0 0 14px;font-size:25px;line-height:1.25;color:#2d2823",
    "center": "text-align:center;margin:26px 0",
    "button": "display:inline-block;background:#3f6b4f;color:#fff;text-decoration:none;font-weight:600;"
    "padding:12px 26px;border-radius:9px",
    "muted": "color:#7b7167;font-size:14px;margin:18px 0 0",
    "lines": "border-collapse:collapse;margin:16px 0",
    "line": "padding:9px 0;border-bottom:1px solid #ece6dc",
    "price": "padding:9px 0;border-bottom:1px solid #ece6dc;text-align:right;white-space:nowrap",
    "sum": "padding:11px 0 0;font-weight:700",
    "sumprice": "padding:11px 0 0;font-weight:700;text-align:right;white-space:nowrap",
    "link": "color:#3f6b4f",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One trigger and its mail. `trigger` is a document as TriggerVersion stores it; do not change it."""

    key: str
    summary: str
    trigger: dict[str, Any]
    subject: str
    html: str
    text: str

    @property
    def name(self) -> str:
        return str(self.trigger["name"])


@cache
def recipes() -> tuple[Recipe, ...]:
    """All recipes, in the order in which they are shown."""
    return tuple(map(_read, KEYS))


def _read(key: str) -> Recipe:
    document = json.loads((_HERE / f"{key}.json").read_text(encoding="utf-8"))
    plan = triggers.recipe(key)
    footer_html, footer_text = _FOOTERS[plan.trigger["message_class"]]
    parts = {
        "preheader": document["preheader"],
        "body": (_HERE / f"{key}.html").read_text(encoding="utf-8").strip(),
        "footer": footer_html,
    }
    html = (_HERE / "layout.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        html = html.replace(f"<!-- {name} -->", part)
    text = (_HERE / f"{key}.txt").read_text(encoding="utf-8").strip()
    return Recipe(
        key=key,
        summary=plan.summary,
        trigger=plan.trigger,
        subject=document["subject"],
        html=re.sub(r'class="(\w+)"', lambda found: f'style="{_STYLES[found[1]]}"', html),
        text=f"{text}\n\n-- \n{footer_text}\n",
    )
