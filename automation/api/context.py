"""What surrounded an event, from both wire shapes into one: device, location, page, utm, metadata …"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from automation.api import device

_LONGEST = 500
_UTM: Final = ("source", "medium", "campaign", "term", "content", "id")
_PLACES: Final = {
    "lat": "latitude",
    "lng": "longitude",
    "lon": "longitude",
    "latitude": "latitude",
    "longitude": "longitude",
}
_ADDRESSES: Final = frozenset({"ip", "ip_address"})
_PAGE_OF_METADATA: Final = {
    "page_url": "url",
    "page_title": "title",
    "page_path": "path",
    "referrer": "referrer",
    "page_referrer": "referrer",
}
_COARSE = 2  # Decimals of a degree: about one kilometre.
_OF_SEGMENT: Final = frozenset(
    {
        "device",
        "os",
        "userAgent",
        "userAgentData",
        "location",
        "ip",
        "page",
        "campaign",
        "locale",
        "timezone",
        "sessionId",
    }
)


def of_article(
    device_info: Mapping[str, Any] | None,
    location: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Context from the article's three objects. `metadata` stays as came; page and utm come from it."""
    context: dict[str, Any] = {}
    if device_info:
        context["device"] = device.normalised(device_info, metadata and metadata.get("user_agent"))
    elif metadata and "user_agent" in metadata:
        context["device"] = device.normalised({}, metadata["user_agent"])
    if location:
        context["location"] = _coarse(location)
    if metadata:
        context["metadata"] = metadata
        page = {ours: metadata[theirs] for theirs, ours in _PAGE_OF_METADATA.items() if theirs in metadata}
        if page:
            context["page"] = page
        utm = _utm_in_url(page.get("url")) | {
            key[4:]: value for key, value in metadata.items() if key.startswith("utm_") and key[4:] and value
        }
        if utm:
            context["utm"] = utm
    return context


def of_segment(theirs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Context from Segment's `context`; what has no place of its own is kept under `metadata`."""
    if not theirs:
        return {}
    context: dict[str, Any] = {}
    known = _mapping(theirs, "device")
    described = {key: value for key, value in known.items() if key != "advertisingId"}
    os = _mapping(theirs, "os")
    if os.get("name"):
        described["os"] = os["name"]
    if os.get("version"):
        described["os_version"] = os["version"]
    agent = theirs.get("userAgent")
    if described or agent:
        context["device"] = device.normalised(described, agent)
    place = dict(_mapping(theirs, "location"))
    if theirs.get("ip"):
        place.setdefault("ip", theirs["ip"])
    if place:
        context["location"] = _coarse(place)
    page = _mapping(theirs, "page")
    if page:
        context["page"] = page
    campaign = _mapping(theirs, "campaign")
    utm = _utm_in_url(page.get("url")) | {
        ("campaign" if key == "name" else key): value for key, value in campaign.items() if value
    }
    if utm:
        context["utm"] = utm
    for key in ("locale", "timezone"):
        if isinstance(theirs.get(key), str) and theirs[key]:
            context[key] = theirs[key]
    if rest := {key: value for key, value in theirs.items() if key not in _OF_SEGMENT}:
        context["metadata"] = rest
    return context


def _mapping(whole: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = whole.get(key)
    return part if isinstance(part, dict) else {}


def _coarse(location: Mapping[str, Any]) -> dict[str, Any]:
    """`location` without what singles out one person: point to a kilometre, address to its network."""
    result: dict[str, Any] = {}
    for key, value in location.items():
        if key in _PLACES:
            try:
                result[_PLACES[key]] = round(float(value), _COARSE)
            except (TypeError, ValueError):
                continue  # A place that is not a number says nothing.
        elif key in _ADDRESSES:
            if network := truncated(value):
                result["ip"] = network
        else:
            result[key] = value
    return result


def truncated(address: object) -> str:
    """The network an IP address lies in (24 bits of IPv4, 48 of IPv6); empty when it is none."""
    try:
        ip = ipaddress.ip_address(str(address).strip()[:64])
    except ValueError:
        return ""
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return str(ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False).network_address)


def _utm_in_url(url: object) -> dict[str, Any]:
    if not isinstance(url, str) or "utm_" not in url:
        return {}
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=50)
    except ValueError:
        return {}
    return {key[4:]: value[:_LONGEST] for key, value in pairs if key.startswith("utm_") and key[4:] in _UTM}
