"""T11: receivers of webhooks that hang, fail, flood, drip and lead astray."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.rawsink import RawSink, answers, drips, floods, hangs, raw_sinks
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

EACH = 100
WORKERS = 3
OPENS_AFTER = 20  # Attempts of all processes together; each of the others may have one in the air.
READ, ON_THE_WAY = 64 * 1024, 64 * 1024  # Bytes read of an answer; sent, and in a buffer of the kernel still.
HOUR = 3600
METADATA = "http://169.254.169.254/latest/meta-data/"


def _triggers(sinks: Mapping[str, RawSink]) -> str:
    return "from tests.factories import make_trigger\n" + "".join(
        f"make_trigger('{name}', on='to_{name}', actions=[{{'type': 'webhook', 'url': '{sink.url}'}}])\n"
        for name, sink in sinks.items()
        if name != "forbidden"
    )


def _statuses(scene: Scene, name: str) -> Counter[tuple[str, str]]:
    rows = scene.rows(
        "SELECT d.status, d.error_class, count(*) FROM automation_delivery d JOIN automation_trigger t"
        " ON t.id = d.trigger_id WHERE t.key = %s GROUP BY 1, 2",
        name,
    )
    return Counter({(status, error): n for status, error, n in rows})


def _p99(scene: Scene, name: str, since: str) -> float:
    """Seconds from the decision to the end of the call."""
    rows = scene.rows(
        "SELECT extract(epoch FROM d.finished_at - d.created_at)::float8 FROM automation_delivery d"
        " JOIN automation_trigger t ON t.id = d.trigger_id WHERE t.key = %s AND d.created_at >= %s::timestamptz",
        name,
        since,
    )
    return statistics.quantiles([seconds for (seconds,) in rows], n=100)[98]


def _redirect(sinks: Mapping[str, RawSink]) -> Callable[[RawSink, object], int]:
    def behave(sink: RawSink, connection: object) -> int:
        to = METADATA if len(sink.calls) % 2 else sinks["forbidden"].url
        return answers(f"302 Found\r\nLocation: {to}")(sink, connection)  # type: ignore[arg-type]

    return behave


@full_only
@pytest.mark.matrix("T11", "webhooks hang, 500, 429, 1 GB body, slow headers, redirects; 100 each")
def test_bad_receivers_cost_little_and_only_themselves(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T11, R-029, R-030, R-031, R-040: circuits open soon, little is read, no redirect is followed, and once they
    are open receivers that work are served as before.
    """
    ok = answers("200 OK", b"{}")
    with raw_sinks(
        good=ok,
        hang=hangs,
        fails=answers("500 Oops"),
        busy=answers(f"429 Later\r\nRetry-After: {HOUR}"),
        flood=floods,
        drip=drips,
        astray=ok,
        forbidden=ok,
    ) as sinks:
        sinks["astray"].behave = _redirect(sinks)
        port = sinks["good"].port
        scene = make_scene(
            prepare=_triggers(sinks),
            env={"BECKON_WEBHOOK_PORTS": f"80,443,{port}", "BECKON_LEASE_SECONDS": "30"},
            workers=(ALL_LANES,) * WORKERS,
        )
        shop = scene.shop()

        def good(turn: str) -> float:
            since = str(scene.value("SELECT now()"))
            shop.send(shop.event(f"{turn}{n}", "to_good") for n in range(EACH))
            scene.wait_until(lambda: _p(scene, since) == EACH, 150, "the good receiver has all")
            return _p99(scene, "good", since)

        normal = good("before")
        bad = ("hang", "fails", "busy", "flood", "drip", "astray")
        report.faults = EACH * len(bad)
        # Those that answer one after the other, then those that take their time.
        for name in ("fails", "busy", "astray", "flood", "hang", "drip"):
            shop.send(shop.event(f"{name}{n}", f"to_{name}") for n in range(EACH))
            if name not in ("hang", "drip"):
                scene.wait_until(lambda name=name: _is_left_alone(scene, name), 60, f"{name} is over")
            if name == "fails":
                until_open = len(sinks[name].calls)  # Later ones are probes, one every 30 s.
        during = good("during")
        scene.wait_until(lambda: all(_is_left_alone(scene, name) for name in bad), 120, "left alone")
        after = good("after")
        calls = {name: len(sinks[name].calls) for name in bad}
        read = [sent for sent in sinks["flood"].calls if sent]
        report.figures = {
            "attempts": calls,
            "until_open": until_open,
            "read_kb_median": round(statistics.median(read) / 1024),
            "read_kb_most": round(max(read) / 1024),
            "forbidden": len(sinks["forbidden"].calls),
            "good_p99_s": [round(seconds, 2) for seconds in (normal, during, after)],
        }
        outcomes = {name: _statuses(scene, name) for name in bad}
        report.lost = EACH * len(bad) - sum(sum(found.values()) for found in outcomes.values())
        assert until_open <= OPENS_AFTER + WORKERS - 1
        for name in ("hang", "fails", "drip"):
            assert name == "fails" or calls[name] <= OPENS_AFTER // 4
            assert {status for status, _ in outcomes[name]} == {"pending"}
        assert calls["busy"] == EACH
        assert outcomes["busy"] == {("pending", "http_429"): EACH}
        waits = "SELECT min(d.due_at - d.created_at) >= interval '1 hour' FROM automation_delivery d JOIN"
        assert scene.value(f"{waits} automation_trigger t ON t.id = d.trigger_id WHERE t.key = 'busy'")
        assert outcomes["flood"] == {("sent", ""): EACH}
        assert statistics.median(read) <= READ + 3 * 4096
        assert max(read) <= READ + ON_THE_WAY
        assert outcomes["astray"] == {("failed", "http_302"): EACH}
        assert sinks["forbidden"].calls == []
        assert after <= 1.2 * normal + 0.5
        report.duplicates = 0


def _p(scene: Scene, since: str) -> int:
    query = (
        "SELECT count(*) FROM automation_delivery d JOIN automation_trigger t ON t.id = d.trigger_id"
        " WHERE t.key = 'good' AND d.status = 'sent' AND d.created_at >= %s::timestamptz"
    )
    return int(scene.value(query, since))


def _is_left_alone(scene: Scene, name: str) -> bool:
    """Every message to it has ended, waits for its moment, or for the circuit to close."""
    return bool(
        scene.value(
            "SELECT (SELECT count(*) FROM automation_queuedevent) = 0 AND count(*) = 0 FROM automation_delivery d"
            " JOIN automation_trigger t ON t.id = d.trigger_id"
            " WHERE t.key = %s AND (d.status = 'sending' OR d.status = 'pending' AND d.error_class = '')",
            name,
        )
    )
