"""The limits of R-005: each at the limit accepted, one past it refused with a pointer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.api import article, fields, limits
from automation.api.faults import RejectedError
from automation.models import Event
from tests.integration.api.shops import Shop, stored

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def nested(levels: int) -> Any:
    """An object `levels` deep."""
    return {"d": nested(levels - 1)} if levels > 1 else {}


def sized(size: int) -> bytes:
    """An event of exactly `size` bytes, in short texts."""
    head, tail = b'{"customer_id":"a","event_type":"x","event_data":{"t":[', b"]}}"
    texts = b",".join([b'"%s"' % (b"x" * 1000)] * ((size - 200) // 1003))
    return head + texts + b" " * (size - len(head) - len(texts) - len(tail)) + tail


AT_AND_PAST: list[tuple[str, Any, Any, str]] = [
    # what, the largest that is allowed, the smallest that is not, where the fault is
    ("depth", nested(limits.DEPTH - 1), nested(limits.DEPTH), "/event_data" + "/d" * (limits.DEPTH - 1)),
    (
        "depth of lists",
        {"l": json.loads("[" * 18 + "]" * 18)},
        {"l": json.loads("[" * 19 + "]" * 19)},
        "/event_data/l" + "/0" * 18,
    ),
    ("keys", {str(n): n for n in range(200)}, {str(n): n for n in range(201)}, "/event_data"),
    (
        "keys inside",
        {"o": {str(n): n for n in range(200)}},
        {"o": {str(n): n for n in range(201)}},
        "/event_data/o",
    ),
    ("a text", {"t": "x" * 8192}, {"t": "x" * 8193}, "/event_data/t"),
    ("a text in bytes", {"t": "ä" * 4096}, {"t": "ä" * 4096 + "x"}, "/event_data/t"),
    ("a text in a list", {"t": ["x" * 8192]}, {"t": ["x" * 8193]}, "/event_data/t/0"),
    ("a key", {"k" * 128: 1}, {"k" * 129: 1}, "/event_data/" + "k" * 59 + "…"),
    ("a whole number", {"n": 10**15}, {"n": 10**15 + 1}, "/event_data/n"),
    ("a negative number", {"n": -(10**15)}, {"n": -(10**15) - 1}, "/event_data/n"),
    ("a fraction", {"n": 1e15}, {"n": 1.01e15}, "/event_data/n"),
    (
        "a decimal text",
        {"n": "123456789012345678901234567890"},
        {"n": 123456789012345678901234567890},
        "/event_data/n",
    ),
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("what", "largest", "smallest", "where"), AT_AND_PAST, ids=[c[0] for c in AT_AND_PAST]
)
def test_the_limit_is_allowed_and_one_more_is_not(
    shop: Shop, what: str, largest: Any, smallest: Any, where: str
) -> None:
    """R-005, S-065: exact limits, each breach with its JSON pointer."""
    body = {"customer_id": "a", "event_type": "x"}
    assert shop.post({**body, "event_data": largest}).status_code == 202
    assert stored().data == largest
    answer = shop.post({**body, "event_data": smallest})
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [where]
    assert Event.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["metadata", "device_info", "location_data"])
def test_the_limits_hold_in_every_object(shop: Shop, field: str) -> None:
    """R-005: also in what surrounds an event."""
    answer = shop.post({"customer_id": "a", "event_type": "x", field: {"n": [10**16]}})
    assert answer.json()["errors"][0]["pointer"] == f"/{field}/n/0"


@pytest.mark.django_db
def test_an_event_may_have_32_kilobytes(shop: Shop) -> None:
    """R-005: 32,768 bytes, single and in a batch."""
    assert len(sized(32_768)) == 32_768
    assert shop.post(sized(32_768)).status_code == 202
    answer = shop.post(sized(32_769))
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {
            "pointer": "",
            "message": "An event may have 32768 bytes; this one has 32769.",
            "hint": "Send less with it.",
        }
    ]
    results = shop.post(b'{"events":[' + sized(32_769) + b"]}").json()["results"]
    assert results[0]["errors"][0]["pointer"] == "/events/0"


@pytest.mark.django_db
def test_a_body_may_have_one_megabyte(shop: Shop) -> None:
    """R-005: 1,048,576 bytes are read, one more is 413."""
    batch = b'{"events":[{"customer_id":"a","event_type":"x"}]}'
    assert shop.post(batch.ljust(1_048_576)).status_code == 200
    answer = shop.post(batch.ljust(1_048_577))
    assert answer.status_code == 413
    assert answer.json()["type"].endswith("#too-large")
    assert Event.objects.count() == 1


NOT_JSON: list[tuple[bytes, str]] = [
    (b'{"customer_id":"a","event_type":"x","event_data":{"n":NaN}}', "/event_data/n"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"n":Infinity}}', "/event_data/n"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"n":[-Infinity]}}', "/event_data/n/0"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"n":1e400}}', "/event_data/n"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"n":' + b"9" * 5000 + b"}}", "/event_data/n"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\\u0000"}}', "/event_data/t"),
    (
        b'{"customer_id":"a","event_type":"x","event_data":{"\\u0000":1}}',
        "/event_data/\N{REPLACEMENT CHARACTER}",
    ),
    (b'{"customer_id":"a\\u0000","event_type":"x"}', "/customer_id"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\\ud800"}}', "/event_data/t"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\\udc00\\ud800"}}', "/event_data/t"),
    (b'{"customer_id":"a","event_type":"x\\udfff"}', "/event_type"),
    (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\x00"}}', ""),
    (b'{"customer_id":"\xff","event_type":"x"}', ""),
    (b'{"customer_id":"\xed\xa0\x80","event_type":"x"}', ""),
    (b'\xef\xbb\xbf{"customer_id":"a","event_type":"x"}', ""),
    (b'{"customer_id":"a","event_type":"x"', ""),
    (b'{"customer_id":"a","event_type":"x",}', ""),
    (b"{'customer_id':'a'}", ""),
    (b"", ""),
    (b"[" * 100_000, ""),
    (b'{"a":' * 100_000, ""),
    (b"[" * 100_000 + b"]" * 100_000, ""),
    (b'{"customer_id":"a","event_type":"x","event_data":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, ""),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("raw", "where"), NOT_JSON, ids=[raw[-40:].decode("latin-1") for raw, _ in NOT_JSON])
def test_what_is_not_json_or_not_storable_is_refused_with_a_pointer(
    shop: Shop, raw: bytes, where: str
) -> None:
    """R-005: NaN, infinity, NUL, half surrogates, broken UTF-8, endless nesting: 400, never 500."""
    answer = shop.post(raw)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == where
    assert Event.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"NaN"', "NaN"),
        (b"0.1", 0.1),
        (b"1e-400", 0.0),
        (b"1e-99999", 0.0),
        (b"0." + b"0" * 20_000 + b"1", 0.0),
        (b"0e999999999999", 0.0),
        (b"-0", 0),
        (b"0.30000000000000004", 0.30000000000000004),
    ],
)
def test_what_only_looks_forbidden_is_stored(shop: Shop, raw: bytes, kept: Any) -> None:
    """R-005: an escaped backslash before u0000, whole pairs, and numbers PostgreSQL could not spell out."""
    assert (
        shop.post(b'{"customer_id":"a","event_type":"x","event_data":{"v":' + raw + b"}}").status_code == 202
    )
    assert stored().data == {"v": kept}


def test_at_most_twenty_faults_are_listed() -> None:
    value = {"customer_id": "a", "event_type": "x", "event_data": {str(n): 10**16 for n in range(100)}}
    with pytest.raises(RejectedError) as caught:
        article.read(json.dumps(value).encode(), NOW)
    assert len(caught.value.faults) == limits.FAULTS_SHOWN


# --- The fast way and the exact way agree

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**16), 10**16)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20)
    | st.sampled_from(["x" * 8192, "x" * 8193, "\0", "a" * 129])
)
keys = st.text(max_size=10) | st.sampled_from(["k" * 128, "k" * 129, "a\0", "~/"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=25,
)
deep = st.tuples(st.integers(0, 25), values).map(lambda pair: _wrap(*pair))


def _wrap(levels: int, value: Any) -> Any:
    for _ in range(levels):
        value = [value] if levels % 2 else {"w": value}
    return value


@settings(max_examples=200, deadline=None)
@given(data=st.dictionaries(keys, deep, max_size=5), is_ascii=st.booleans())
def test_the_fast_way_accepts_exactly_what_the_walk_accepts(data: dict[str, Any], is_ascii: bool) -> None:
    """R-005: two ways, one answer. The walk alone decides what is allowed; the decoder must not differ."""
    value = {"customer_id": "a", "event_type": "x", "event_data": data}
    try:
        raw = json.dumps(value, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:
        return  # A half surrogate pair cannot be written out in UTF-8.
    long = limits.too_long(raw)
    faults = [long] if long else limits.breaches(json.loads(raw))
    if faults:
        with pytest.raises(RejectedError) as caught:
            article.read(raw, NOW)
        assert {fault.pointer for fault in caught.value.faults} >= {fault.pointer for fault in faults}
    else:
        assert json.loads(bytes(article.read(raw, NOW).data)) == data


def test_a_walk_that_finds_nothing_says_nothing() -> None:
    """The exact way is also taken by large events that are allowed."""
    raw = sized(20_000)
    assert not limits.is_plain(raw)
    fields.explain(raw, fields.ARTICLE, is_strict=True)
    assert article.read(raw, NOW).name == "x"
