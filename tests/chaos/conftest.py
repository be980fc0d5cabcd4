"""Servers of their own for the chaos tests, a scene maker, and the line each test writes into the table."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from config.servers import Servers
from tests.chaos.harness.databases import fresh_database, make_template
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene

SceneMaker = Callable[..., Scene]


@pytest.fixture(scope="session")
def chaos_servers() -> Iterator[Servers]:
    """One PostgreSQL and one Redis that these tests may kill."""
    base = Path(tempfile.mkdtemp(prefix="beckon-chaos-"))
    base.chmod(0o755)  # Or root's servers, which run as another user, could not enter.
    with Servers(base) as mine:
        make_template(mine)
        yield mine
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def make_scene(chaos_servers: Servers, tmp_path: Path) -> Iterator[SceneMaker]:
    """`make_scene(workers=…, env=…)`: a running Beckon on a fresh database; stopped when the test ends."""
    with ExitStack() as stack:

        def make(*, prepare: str = "", **options: Any) -> Scene:
            url = stack.enter_context(fresh_database(chaos_servers))
            folder = tmp_path / url.rpartition("/")[2].partition("?")[0]
            folder.mkdir()
            scene = Scene(chaos_servers, url, folder, **options)
            stack.callback(scene.close)
            if prepare:
                scene.run(prepare)
            return scene.open()

        yield make


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """The line of this test, from its marker `@pytest.mark.matrix("T1", "what is done")`."""
    marker = request.node.get_closest_marker("matrix")
    assert marker is not None, "a chaos test names its line: @pytest.mark.matrix('T1', 'kill -9 …')"
    line = Report(*marker.args, **marker.kwargs)
    yield line
    outcome = getattr(request.node, "outcome_of_call", None)
    if outcome is not None and outcome.skipped:
        line.end(
            "skipped", str(outcome.longrepr[-1] if isinstance(outcome.longrepr, tuple) else outcome.longrepr)
        )
    elif outcome is None or outcome.failed:
        line.end(
            "BREACH", str(outcome.longrepr).strip().splitlines()[-1][:200] if outcome else "set-up failed"
        )
    else:
        line.end("measured" if line.system != "Beckon" else "pass")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the fixture above see how its test ended."""
    outcome: Any = yield
    if outcome.when == "call":
        item.outcome_of_call = outcome  # type: ignore[attr-defined]
    return outcome
