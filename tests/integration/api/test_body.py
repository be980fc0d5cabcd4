"""How a body may be packed and labelled (R-006), and that reading it is bounded."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from automation.api import body as bodies
from automation.api.problems import ProblemError
from automation.models import Event
from tests.integration.api.shops import EVENTS, Shop, stored

pytestmark = pytest.mark.django_db
EVENT = json.dumps({"customer_id": "ada", "event_type": "page_view"}).encode()
MEGABYTE = 1_048_576


def packed(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


def incompressible(size: int) -> bytes:
    """A batch of `size` bytes that packs to about a third."""
    noise = "".join(f"{zlib.crc32(str(n).encode()):08x}" for n in range(size // 8))
    events = [
        {"customer_id": "a", "event_type": "x", "event_data": {"n": noise[at : at + 2000]}}
        for at in range(0, len(noise), 2000)
    ]
    raw = json.dumps({"events": events}).encode()
    return raw[:size] if len(raw) > size else raw.ljust(size)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_read(shop: Shop, encoding: str) -> None:
    """R-006: unmodified clients pack their batches."""
    assert shop.post(packed(EVENT), HTTP_CONTENT_ENCODING=encoding).status_code == 202
    assert stored().name == "page_view"


def test_several_gzip_members_are_one_body(shop: Shop) -> None:
    assert shop.post(packed(EVENT[:10]) + packed(EVENT[10:]), HTTP_CONTENT_ENCODING="gzip").status_code == 202


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_no_encoding_has_two_names(shop: Shop, encoding: str) -> None:
    assert shop.post(EVENT, HTTP_CONTENT_ENCODING=encoding).status_code == 202


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "bz2", "x"])
def test_an_unknown_encoding_is_415(shop: Shop, encoding: str) -> None:
    """R-006."""
    answer = shop.post(EVENT, HTTP_CONTENT_ENCODING=encoding)
    assert answer.status_code == 415
    assert answer["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("200 MB of blanks", packed(b" " * 200_000_000)),
        ("just past one megabyte", packed(incompressible(MEGABYTE + 1))),
        ("small but more than a hundredfold", packed(EVENT + b" " * 20_000)),
        ("two members", packed(b" " * 90_000) + packed(b" " * 90_000)),
    ],
)
def test_a_gzip_bomb_is_413(shop: Shop, name: str, bomb: bytes) -> None:
    """R-006: unpacking stops at 1 MB or a hundredfold."""
    answer = shop.post(bomb, HTTP_CONTENT_ENCODING="gzip")
    assert answer.status_code == 413
    assert Event.objects.count() == 0


def test_unpacking_stops_at_the_limit_and_not_after_it() -> None:
    """R-006: the memory a bomb costs is the limit, not its size."""
    import tracemalloc

    bomb = packed(b" " * 100_000_000)
    tracemalloc.start()
    with pytest.raises(ProblemError):
        bodies.inflated(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_one_megabyte_unpacked_is_allowed() -> None:
    raw = incompressible(MEGABYTE)
    assert bodies.inflated(packed(raw)) == raw


@pytest.mark.parametrize(
    "raw", [b"", EVENT, packed(EVENT)[:-9], packed(EVENT)[:12], packed(EVENT) + b"x", b"\x1f\x8b"]
)
def test_broken_gzip_is_400(shop: Shop, raw: bytes) -> None:
    """R-006: never 500."""
    assert shop.post(raw, HTTP_CONTENT_ENCODING="gzip").status_code == 400
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ('application/json; charset="UTF-8"', 202),
        ("Application/JSON;charset=utf8", 202),
        ("application/cloudevents+json", 202),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=bz2_codec", 415),
        ("application/json; charset=", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/xml", 415),
        ("nonsense", 415),
    ],
)
def test_the_content_type_must_be_json_in_utf_8(shop: Shop, kind: str, status: int) -> None:
    """R-006: any charset but UTF-8 is 415, whatever codec it names."""
    answer = shop.post(EVENT, content_type=kind)
    assert answer.status_code == status


def test_no_content_type_is_taken_for_json(shop: Shop) -> None:
    assert (
        shop.client.generic("POST", EVENTS, EVENT, content_type="", HTTP_X_API_KEY=shop.token).status_code
        == 202
    )


def request(stream: io.BytesIO, **meta: Any) -> Request:
    built = RequestFactory().post(EVENTS, b"", content_type="application/json")
    built.META.pop("CONTENT_LENGTH", None)
    built.META.update({"wsgi.input": stream, **meta})
    return Request(built)


def test_a_chunked_body_is_read_up_to_the_limit_only() -> None:
    """R-005: actual bytes are counted, not what a header says."""
    stream = io.BytesIO(b" " * (3 * MEGABYTE))
    with pytest.raises(ProblemError) as caught:
        bodies.body_of(request(stream, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True}))
    assert caught.value.kind == "too-large"
    assert stream.tell() == MEGABYTE + 1


def test_a_chunked_body_of_a_server_that_ends_it_is_read() -> None:
    built = request(io.BytesIO(EVENT), HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})
    assert bodies.body_of(built) == EVENT


def test_a_chunked_body_of_a_server_that_does_not_end_it_is_411() -> None:
    with pytest.raises(ProblemError) as caught:
        bodies.body_of(request(io.BytesIO(EVENT), HTTP_TRANSFER_ENCODING="chunked"))
    assert caught.value.kind == "length-required"


def test_a_declared_length_past_the_limit_is_refused_unread(shop: Shop) -> None:
    """R-005: Content-Length is enough to say no."""
    stream = io.BytesIO(b"x")
    with pytest.raises(ProblemError) as caught:
        bodies.body_of(request(stream, CONTENT_LENGTH=str(MEGABYTE + 1)))
    assert caught.value.kind == "too-large"
    assert stream.tell() == 0
