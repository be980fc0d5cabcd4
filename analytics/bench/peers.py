"""Start the peers of benchmarks/ and measure them: the naive Django app, the article's engine, the floor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg2

from analytics.bench import client, fill
from analytics.bench.databases import TEMPLATE, connected
from analytics.bench.errors import PeerError
from analytics.bench.product import wait_until
from analytics.bench.reference import Reference
from analytics.bench.shapes import documents
from analytics.bench.site import PROJECT, Site
from analytics.bench.workload import Stream, by_connection, moments, wire
from benchmarks import floor

_runs = count(1)


class Floor:
    """Bare SQL on one connection; the rows are those of `source`, a database just decided."""

    def __init__(self, site: Site, source: str, size: int) -> None:
        with connected(site.databases.url(source)) as cursor:
            self._batches = floor.record(cursor, size)
            cursor.execute("SELECT count(*) FROM profiles_profile")
            self._customers = int(cursor.fetchone()[0])
        self._url = site.databases.create("floor", template=TEMPLATE)
        with connected(site.databases.url(source)) as cursor, connected(self._url) as copy:
            _copy_triggers(cursor, copy)
        self.events = sum(batch.events for batch in self._batches)

    def run(self) -> float:
        """Events per second."""
        with connected(self._url) as cursor:
            fill.reset(cursor, self._customers)
        connection = psycopg2.connect(self._url)
        try:
            seconds = floor.replay(connection, self._batches)
        finally:
            connection.close()
        with connected(self._url) as cursor:
            cursor.execute("SELECT count(*) FROM automation_event")
            if cursor.fetchone()[0] != self.events:
                raise PeerError("the floor did not write every event")
        return self.events / seconds


def _copy_triggers(source: Any, target: Any) -> None:
    """Executions refer to triggers and versions; the floor needs those rows, too."""
    target.execute("SET session_replication_role = replica")  # The two tables refer to one another.
    for table in ("automation_trigger", "automation_triggerversion"):
        source.execute(f"SELECT json_agg(t)::text FROM {table} t")
        target.execute(
            f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, %s::json)",
            [source.fetchone()[0]],
        )


class Naive:
    """The naive Django app with gunicorn and two Celery processes."""

    def __init__(self, site: Site, *, triggers: int, customers: int, port: int) -> None:
        self._url = site.databases.create("naive")
        self._site, self._triggers = site, triggers
        self._address = f"http://127.0.0.1:{port}"
        self._env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.naive.settings",
            "NAIVE_DATABASE_URL": self._url,
            "NAIVE_BROKER_URL": site.broker_url,
        }
        job = _job(site, "naive", {"triggers": documents("spread", triggers), "customers": customers})
        subprocess.run(
            [sys.executable, "-m", "benchmarks.naive.fill", job], env=self._env, cwd=PROJECT, check=True
        )
        self._processes = [
            self._start("gunicorn", "benchmarks.naive.wsgi", f"--bind=127.0.0.1:{port}", "--worker-class=gthread",
                        "--workers=2", "--threads=8", "--log-level=warning", "--no-control-socket"),
            self._start("celery", "--app=benchmarks.naive.celery", "--quiet", "worker", "--concurrency=2",
                        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"),
        ]  # fmt: skip
        site.until_the_end(self.stop)

    def wait_ready(self) -> None:
        """Until an event has gone all the way through."""
        wait_until(self._answers, "ready: the naive peer")
        self.run(Stream(4, 4))

    def run(self, stream: Stream) -> float:
        """Events per second, one request and one task each."""
        items = stream.items()
        when = moments(f"n{next(_runs)}", stream.count, datetime.now(UTC))
        url = f"{self._address}/events/"
        requests = [
            [client.request(url, msgspec.json.encode(wire(item, when))) for item in mine]
            for mine in by_connection(items)
        ]
        with connected(self._url) as cursor:
            cursor.execute("TRUNCATE naive_execution, naive_event")
            cursor.execute("UPDATE naive_customer SET lifetime_value = 0, orders = 0")
            started = time.perf_counter()
            sent = client.send_all(url, requests)
            wait_until(lambda: _is_done(cursor, len(items)), "processed by the naive peer")
            seconds = time.perf_counter() - started
            sent.check(len(items))
            cursor.execute("SELECT count(*) FROM naive_execution WHERE status = 'triggered'")
            fired = cursor.fetchone()[0]
        expected = len(Reference("spread", self._triggers).decide(items, when))
        if not 0.9 * expected <= fired <= 1.1 * expected + 2:  # Its tasks race one another.
            raise PeerError(f"the naive peer fired {fired} times, expected about {expected}")
        return len(items) / seconds

    def stop(self) -> None:
        """End its processes."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._site.base / f"naive-{arguments[0]}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "config.child", str(os.getpid()), *arguments],
                env=self._env, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _answers(self) -> bool:
        connection = client.Connection(self._address)
        try:
            return connection.send(client.request(f"{self._address}/healthz", b""))[0] == 200
        except OSError:
            return False
        finally:
            connection.close()


def _is_done(cursor: Any, events: int) -> bool:
    cursor.execute("SELECT count(*) FROM naive_event WHERE is_processed")
    return bool(cursor.fetchone()[0] >= events)


def article_engine(site: Site, stream: Stream, triggers: int) -> float:
    """Events per second of the article's engine, in a process of its own with ten coroutines."""
    if not site.databases.has("article"):
        site.databases.create("article")
    items = stream.items()
    number = next(_runs)
    when = moments(f"a{number}", stream.count, datetime.now(UTC))
    events = [{**wire(item, when), "customer_id": f"a{number}-{item.customer}"} for item in items]
    job = {
        "database_url": site.databases.url("article"),
        "redis_url": site.redis_url,
        "triggers": documents("spread", triggers),
        "events": json.loads(msgspec.json.encode(events)),
        "prefix": f"a{number}-",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.article.run", _job(site, "article", job)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise PeerError(f"the article's engine ended with {done.returncode}: {done.stderr[-1000:]}")
    answer = json.loads(done.stdout)
    if answer["stored"] != len(items) or answer["rows"] != answer["executions"] or not answer["rows"]:
        raise PeerError(f"the article's engine lost something: {answer}")
    return float(answer["events"] / answer["seconds"])


def _job(site: Site, name: str, job: dict[str, Any]) -> str:
    file: Path = site.base / f"{name}.json"
    file.write_text(json.dumps(job))
    return str(file)
