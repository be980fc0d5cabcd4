"""Real clients, unmodified, against a real server on this machine."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from automation.models import Event
from profiles.models import Identity
from tests.integration.api.shops import Shop, stored

# The live server starts before any fixture could give whitenoise a folder.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:No directory at"),
]
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    """Close the clients' connections and wait for the server's threads, which hold the database open."""
    yield
    for name in ("segment.analytics.request", "rudderstack.analytics.request"):
        if name in sys.modules:
            sys.modules[name]._session.close()
    gc.collect()  # A caught error may hold an answer, and that its connection.
    until = time.monotonic() + 10
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < until, "the server still holds a connection"
        time.sleep(0.01)


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_segments_python_client_delivers_everything(live_server: Any, shop: Shop, gzip: bool) -> None:
    """S-007: segment-analytics-python, with and without gzip."""
    from segment.analytics.client import Client

    failures: list[Exception] = []
    client = Client(
        shop.token,
        host=live_server.url,
        gzip=gzip,
        max_retries=0,
        on_error=lambda error, items: failures.append(error),
    )
    client.identify(12, {"email": "ada@example.com"})
    client.track("ada", "Order Completed", {"total": 12.5, "at": datetime(2026, 1, 1, tzinfo=UTC)})
    client.page(anonymous_id="v-1", name="Home", properties={"url": "https://a.example/"})
    client.screen("ada", name="Cart")
    client.group("ada", "company", {"name": "Ada & Sons"})
    client.alias("old", "ada")
    client.flush()
    client.join()
    assert failures == []
    assert sorted(Event.objects.values_list("name", flat=True)) == [
        "alias",
        "group",
        "identify",
        "page_view",
        "purchase_completed",
        "screen_view",
    ]
    assert stored(name="purchase_completed").original_name == "Order Completed"
    assert stored(name="purchase_completed").data["total"] == 12.5
    assert Identity.objects.filter(kind="customer", value="12").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_segments_python_client_reads_our_errors(live_server: Any, shop: Shop) -> None:
    """Errors have the `code` and `message` that it shows."""
    from segment.analytics.request import APIError, post

    with pytest.raises(APIError) as caught:
        post("bk_live_wrong", host=live_server.url, batch=[{"type": "track", "userId": "a", "event": "X"}])
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
    assert caught.value.message == "This key is not known, was revoked, or has expired."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rudderstacks_python_client_delivers_everything(live_server: Any, shop: Shop) -> None:
    """S-007: rudder-sdk-python, which takes nothing but status 200 for success."""
    from rudderstack.analytics.client import Client

    failures: list[Exception] = []
    client = Client(
        shop.token, host=live_server.url, max_retries=0, on_error=lambda error, items: failures.append(error)
    )
    client.identify("ada", {"first_name": "Ada"})
    client.track("ada", "Product Added", {"product_id": "p-1"})
    client.flush()
    client.join()
    assert failures == []
    assert sorted(Event.objects.values_list("name", flat=True)) == ["add_to_cart", "identify"]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def test_the_shell_example_works_as_printed(live_server: Any, shop: Shop) -> None:
    """S-188: curl from the docs, against a running server."""
    done = run(["sh", str(EXAMPLES / "send_event.sh")], BECKON_URL=live_server.url, BECKON_KEY=shop.token)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "accepted"
    assert stored().name == "cart_abandonment"


def test_the_shell_example_fails_aloud(live_server: Any, shop: Shop) -> None:
    done = run(["sh", str(EXAMPLES / "send_event.sh")], BECKON_URL=live_server.url, BECKON_KEY="wrong")
    assert done.returncode != 0
    assert Event.objects.count() == 0


def test_the_python_example_works_as_printed(live_server: Any, shop: Shop) -> None:
    """Standard library only; sent twice with one id it is one event."""
    environment = {"BECKON_URL": live_server.url, "BECKON_KEY": shop.token}
    done = run([sys.executable, str(EXAMPLES / "send_event.py")], **environment)
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    assert stored().name == "cart_abandonment"


def test_the_python_example_retries_what_may_be_retried(shop: Shop, monkeypatch: Any) -> None:
    """It retries 503 with the same message id and gives up on 400."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("send_event_example", EXAMPLES / "send_event.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    sent: list[bytes] = []
    answers = [503, 503, 202]

    def fake_post(url: str, key: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        sent.append(body)
        return answers.pop(0), {}, b'{"status": "accepted"}'

    monkeypatch.setattr(example, "_post", fake_post)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert example.send("http://x", "k", {"customer_id": "a", "event_type": "x"}) == {"status": "accepted"}
    assert len(sent) == 3
    assert len(set(sent)) == 1
    answers[:] = [400]
    with pytest.raises(example.RefusedError):
        example.send("http://x", "k", {"customer_id": "a", "event_type": "x"})


# What a page offers, as far as the example uses it.
PAGE = """
let hide;
globalThis.document = {
  visibilityState: "visible",
  addEventListener: (name, call) => { hide = call; },
};
const beacons = [];
const sendBeacon = (url, body) => { beacons.push(fetch(url, { method: "POST", body })); return true; };
Object.defineProperty(globalThis, "navigator", { value: { sendBeacon } });
globalThis.localStorage = { getItem: () => "visitor-1", setItem: () => undefined };

const { Beckon } = await import(%(module)s);
const beckon = new Beckon(%(url)s, %(key)s);
beckon.track("Product Viewed", { product_id: "p-1" });
beckon.identify("ada", { first_name: "Ada" });
await beckon.flush();
beckon.track("Checkout Started");
document.visibilityState = "hidden";
hide();
for (const answer of await Promise.all(beacons)) {
  if (!answer.ok) throw new Error(await answer.text());
}
process.exit(0);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_example_batches_retries_and_says_goodbye(live_server: Any, shop: Shop) -> None:
    """The browser file, run by node with a page that hides: one batch by fetch, the rest by sendBeacon."""
    script = PAGE % {
        "module": json.dumps((EXAMPLES / "send_event.js").as_uri()),
        "url": json.dumps(live_server.url),
        "key": json.dumps(shop.token),
    }
    done = run(["node", "--input-type=module", "--eval", script])
    assert done.returncode == 0, done.stderr
    assert sorted(Event.objects.values_list("name", flat=True)) == [
        "checkout_started",
        "identify",
        "product_view",
    ]
    assert len({identity.profile_id for identity in Identity.objects.all()}) == 1
