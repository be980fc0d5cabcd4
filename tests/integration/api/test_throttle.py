"""One limit for all processes while Redis answers, one for each while it does not, and never none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import Client, RequestFactory

from automation.api import leases, throttle
from automation.api.leases import LEASE_SECONDS, TIMEOUT, SharedBuckets
from automation.client_address import network_of
from automation.models import Event
from config.servers import Servers
from tests.integration.api.shops import EVENTS, Shop

EVENT = {"customer_id": "ada", "event_type": "page_view"}
RATE, BURST, PROCESSES, SECONDS = 100.0, 400.0, 4, 2.0

_RUNNER = """
import json, sys, time
import django
django.setup()
from automation.api.leases import SharedBuckets
rate, burst, seconds = map(float, sys.argv[1:])
buckets = SharedBuckets("test", rate, burst)
print("ready", flush=True)
sys.stdin.readline()
started, passed = time.time(), 0
while time.time() - started < seconds:
    if buckets.take("one"):
        time.sleep(0.001)
    else:
        passed += 1
print(json.dumps([passed, started, time.time()]))
"""


@pytest.fixture
def own_redis(own_servers: Servers, settings: Any) -> Iterator[Servers]:
    """The buckets are in a Redis of this test's own, which it may freeze and kill."""
    settings.REDIS_CLIENT_URL = own_servers.redis_url
    leases.forget()
    yield own_servers
    leases.forget()


def spend_all(buckets: SharedBuckets, tries: int) -> int:
    """How many of `tries` are let pass."""
    return sum(not buckets.take("one") for _ in range(tries))


def commands(servers: Servers, name: str) -> int:
    """How often Redis was asked."""
    stats = redis.Redis.from_url(servers.redis_url).info("commandstats")
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


def test_several_processes_share_one_bucket(own_servers: Servers) -> None:
    """R-038: over all processes at most burst + rate * (seconds + lease) requests pass, and not many fewer."""
    shared = {
        **os.environ,
        "REDIS_URL": own_servers.redis_url,
        "DATABASE_URL": own_servers.database_url,
        "SECRET_KEY": "only for the settings to load",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "-c", _RUNNER, str(RATE), str(BURST), str(SECONDS)]
    runners = [
        subprocess.Popen(command, env=shared, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for runner in runners:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
    for runner in runners:
        assert runner.stdin is not None
        runner.stdin.write("go\n")
        runner.stdin.flush()
    results = [json.loads(runner.communicate(timeout=60)[0]) for runner in runners]
    passed = [result[0] for result in results]
    took = max(result[2] for result in results) - min(result[1] for result in results)
    assert sum(passed) <= BURST + RATE * (took + LEASE_SECONDS)
    assert sum(passed) >= 0.9 * (BURST + RATE * SECONDS)
    assert min(passed) > 0


def test_most_requests_touch_no_redis(own_redis: Servers) -> None:
    """R-038: leases grow to a twentieth of the burst while they are used up."""
    buckets = SharedBuckets("test", rate=1_000, burst=100_000)
    assert spend_all(buckets, 10_000) == 10_000
    assert commands(own_redis, "evalsha") < 40


def test_the_last_tokens_are_shared_one_by_one(own_redis: Servers) -> None:
    """R-038: exact where it matters; a second process gets what the first did not spend."""
    first, second = (SharedBuckets("test", rate=0.001, burst=100) for _ in range(2))
    assert spend_all(first, 90) == 90
    rest = spend_all(second, 100)
    assert 8 <= rest <= 10
    assert spend_all(first, 100) + rest <= 10


def test_a_refusal_is_remembered_for_as_long_as_it_holds(own_redis: Servers) -> None:
    """A client that runs wild costs no round trip for each refusal."""
    buckets = SharedBuckets("test", rate=0.5, burst=1)
    assert spend_all(buckets, 1_000) == 1
    assert commands(own_redis, "evalsha") <= 3
    assert 0 < buckets.take("one") <= 2


def test_what_is_kept_in_redis_ends_by_itself(own_redis: Servers, settings: Any) -> None:
    """R-038: no key without prefix and expiry."""
    SharedBuckets("test", rate=10, burst=100).take("one")
    client = redis.Redis.from_url(own_redis.redis_url)
    (key,) = client.keys("*")
    assert key.decode() == f"{settings.REDIS_PREFIX}throttle:test:one"
    assert 0 < client.pttl(key) <= 11_000


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_without_redis_each_process_counts_alone(
    own_redis: Servers, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-038, R-010: a limit still holds, one request waits for 50 ms, none fails; afterwards it is shared again."""
    monkeypatch.setattr(leases, "BREAK_SECONDS", 0.5)
    buckets = SharedBuckets("test", rate=0.001, burst=50)
    assert spend_all(buckets, 1) == 1
    if fault == "frozen":
        own_redis.freeze("redis")
    else:
        own_redis.kill("redis", stay_down=True)
    started = time.monotonic()
    assert spend_all(buckets, 1_000) == 50
    assert time.monotonic() - started < TIMEOUT + 0.2
    if fault == "frozen":
        own_redis.thaw("redis")
    else:
        own_redis.bring_up("redis")
    time.sleep(0.6)
    before = commands(own_redis, "evalsha")
    assert buckets.take("another") == 0
    assert commands(own_redis, "evalsha") > before


def test_while_redis_is_gone_one_request_in_a_while_tries_it(
    own_redis: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-010: the others do not wait for that one."""
    buckets = SharedBuckets("test", rate=1_000, burst=1_000)
    own_redis.freeze("redis")
    tries: list[float] = []
    real = SharedBuckets._ask

    def counted(self: SharedBuckets, name: str, wanted: int) -> tuple[int, int]:
        tries.append(time.monotonic())
        return real(self, name, wanted)

    monkeypatch.setattr(SharedBuckets, "_ask", counted)
    for name in range(200):
        assert buckets.take(str(name)) == 0
    assert len(tries) == 1
    own_redis.thaw("redis")


@pytest.mark.django_db
def test_an_address_that_runs_wild_is_429_before_key_and_body_are_looked_at(
    shop: Shop, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-038: also where the key is in the body; other addresses go on."""
    monkeypatch.setattr(throttle.ADDRESSES, "burst", 2)
    monkeypatch.setattr(throttle.ADDRESSES, "rate", 0.001)
    where = {"REMOTE_ADDR": "198.51.100.7"}
    assert [shop.post(EVENT, **where).status_code for _ in range(2)] == [202, 202]
    for path in (EVENTS, "/v1/t", "/v1/projects/x/settings", "/api/v1/events/1/"):
        answer = client.post(path, b"not json", content_type="application/json", **where)  # type: ignore[arg-type]
        assert answer.status_code == 429
        assert answer["Content-Type"] == "application/problem+json"
        assert 1 <= int(answer["Retry-After"]) <= 1000
    assert shop.post(EVENT, REMOTE_ADDR="198.51.100.8").status_code == 202
    assert Event.objects.count() == 3


@pytest.mark.parametrize(
    ("trusted", "forwarded", "counted"),
    [
        (0, "198.51.100.7", "10.0.0.1"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", "10.0.0.1"),
        (1, "2001:DB8::1", "2001:db8::/64"),
    ],
)
def test_only_entries_of_our_own_proxies_are_believed(
    settings: Any, trusted: int, forwarded: str, counted: str
) -> None:
    """R-038: whoever sends a request can write any X-Forwarded-For."""
    settings.TRUSTED_PROXIES = trusted
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert throttle._network(request) == counted


@pytest.mark.parametrize(
    ("one", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_a_whole_ipv6_network_counts_as_one(one: str, network: str) -> None:
    """R-038: who has one address of a /64 has all of them."""
    assert network_of(one) == network
