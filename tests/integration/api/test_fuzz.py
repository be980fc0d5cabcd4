"""Whatever is sent, the server never answers 5xx, and always in the promised form."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.core import NOT_SET

from automation.api import keys
from automation.api.docs import openapi_bytes
from automation.api.documents import PROBLEM, RESULT, RESULTS
from automation.api.examples import CART_ABANDONMENT
from automation.models import WriteKey
from tests.integration.api.shops import EVENTS, Shop

pytestmark = pytest.mark.django_db
CHECKS = {
    202: Draft202012Validator(RESULT),
    200: Draft202012Validator(RESULTS),
    **{status: Draft202012Validator(PROBLEM) for status in (400, 409, 413, 415)},
}
FUZZ = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["\ud800", "\0", "x" * 9000, "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "ﬀ", "\u2028"]
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=20,
)
known = st.sampled_from(
    [*CART_ABANDONMENT, "sent_at", "message_id", "anonymous_id", "location_data", "colour"]
)
events = st.builds(
    lambda base, extra: {**base, **extra},
    st.sampled_from([{}, {"customer_id": "a", "event_type": "x"}, CART_ABANDONMENT]),
    st.dictionaries(known, anything, max_size=4),
)
documents = (
    events | anything | st.builds(lambda items: {"events": items}, st.lists(events | anything, max_size=4))
)


@pytest.fixture
def shop_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose key stays known, so that only what is sent varies."""
    monkeypatch.setattr(keys, "KNOWN_SECONDS", 600.0)
    return shop


def check(answer: Any, promised: dict[int, Any] = CHECKS) -> None:
    assert answer.status_code in promised, answer.content
    if validator := promised[answer.status_code]:
        validator.validate(json.loads(answer.content))


@FUZZ
@given(document=documents)
def test_any_json_is_answered_as_promised(shop_once: Shop, document: Any) -> None:
    """R-005, R-056, T16: values of any kind in any place."""
    check(shop_once.post(document))


@FUZZ
@given(raw=st.binary(max_size=300), packed=st.booleans(), kind=st.sampled_from(["application/json", "x", ""]))
def test_any_bytes_are_answered_as_promised(shop_once: Shop, raw: bytes, packed: bool, kind: str) -> None:
    """R-005, R-006: no bytes, packed or not, bring the server down."""
    headers = {"HTTP_CONTENT_ENCODING": "gzip"} if packed else {}
    check(shop_once.post(raw, content_type=kind, **headers))


@FUZZ
@given(at=st.integers(0, 700), byte=st.integers(0, 255), cut=st.integers(0, 700), packed=st.booleans())
def test_a_damaged_event_is_answered_as_promised(
    shop_once: Shop, at: int, byte: int, cut: int, packed: bool
) -> None:
    """R-005: one byte changed, the rest cut off."""
    raw = bytearray(json.dumps({"events": [CART_ABANDONMENT] * 2}).encode())
    raw[at % len(raw)] = byte
    body = bytes(raw[: len(raw) - cut])
    headers = {"HTTP_CONTENT_ENCODING": "gzip"} if packed else {}
    check(shop_once.post(gzip.compress(body) if packed else body, **headers))


@FUZZ
@given(
    path=st.sampled_from(
        ["track", "identify", "page", "screen", "group", "alias", "batch", "import", "t", "b"]
    ),
    document=anything
    | st.dictionaries(
        st.sampled_from(
            [
                "userId",
                "anonymousId",
                "event",
                "properties",
                "traits",
                "context",
                "timestamp",
                "sentAt",
                "type",
                "batch",
            ]
        ),
        anything,
        max_size=6,
    )
    | st.builds(lambda items: {"batch": items}, st.lists(events, max_size=3)),
)
def test_any_call_of_segments_shape_is_answered_as_promised(
    shop_once: Shop, path: str, document: Any
) -> None:
    """R-056: 200, or a problem that carries `code` and `message`."""
    check(shop_once.post(document, f"/v1/{path}"), {**CHECKS, 200: None})


@FUZZ
@given(
    header=st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=80)
)
def test_any_credentials_are_answered_with_401(client: Client, db: None, header: str) -> None:
    """R-036: no header of any kind is an error of ours."""
    WriteKey.objects.all()
    for kind in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY"):
        for prefix in ("", "Basic ", "Bearer "):
            answer = client.generic(
                "POST", EVENTS, b"{}", content_type="application/json", **{kind: prefix + header}
            )
            assert answer.status_code in (401, 429)


schema = schemathesis.openapi.from_dict(json.loads(openapi_bytes()))


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_openapi_document_describes_the_server(
    case: schemathesis.Case, shop_once: Shop, new_key: Any
) -> None:
    """T16, R-056: requests made from the document, right and wrong ones; answers as the document says."""
    headers = {f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in case.headers.items()}
    headers["HTTP_AUTHORIZATION"] = f"Bearer {new_key(scopes=('admin',))[1]}"
    body = b"" if case.body is NOT_SET else case.body
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = shop_once.client.generic(
        case.method, case.formatted_path, raw, content_type="application/json", **headers
    )
    if case.method.lower() != case.operation.method.lower():  # It also tries methods that are not described.
        assert answer.status_code in (200, 404, 405)
        return
    answers = case.operation.definition.raw["responses"]
    assert str(answer.status_code) in answers or answer.status_code == 404
    for kind, content in answers.get(str(answer.status_code), {}).get("content", {}).items():
        assert answer["Content-Type"] == kind
        Draft202012Validator(content["schema"]).validate(json.loads(answer.content))
