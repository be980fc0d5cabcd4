"""Armed fault points: what may be armed, that a seed fixes the draws, and that each action does what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automation import faults

_DRAWS = """
import sys, django
django.setup()
from automation import faults
sys.argv = ["celery", "--hostname=" + sys.argv[1] + "@%h"]
print([round(faults._draw(), 6) for _ in range(3)])
"""
_FAULT = """
import django
django.setup()
from automation.faults import fault
fault("publish")
print("passed")
"""


def run(code: str, *arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "BECKON_HOME": str(home),
        "BECKON_LOG_FORMAT": "text",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("text", "armed"),
    [
        ("", {}),
        ("after_claim:kill@0.05", {"after_claim": ("kill", 0.05)}),
        ("publish:oom", {"publish": ("oom", 1.0)}),
        (" publish:raise@1 , sweep_mid:sleep@0.5,", {"publish": ("raise", 1.0), "sweep_mid": ("sleep", 0.5)}),
    ],
)
def test_what_may_be_armed(text: str, armed: dict[str, tuple[str, float]]) -> None:
    assert faults.parse(text) == armed


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nowhere:kill", "Points: after_claim"),
        ("after_claim", "Actions: kill, oom"),
        ("after_claim:explode@1", "Actions: kill, oom"),
        ("after_claim:kill@0", "above 0 and at most 1"),
        ("after_claim:kill@1.01", "above 0 and at most 1"),
        ("after_claim:kill@-1", "above 0 and at most 1"),
        ("after_claim:kill@nan", "above 0 and at most 1"),
        ("after_claim:kill@often", "above 0 and at most 1"),
    ],
)
def test_what_may_not_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        faults.parse(text)


def test_a_seed_fixes_the_draws_of_every_process_and_no_two_are_alike(tmp_path: Path) -> None:
    """The first and the second process of one name, and one of another name, in two runs of one seed."""
    runs = []
    for number in range(2):
        home = tmp_path / str(number)
        runs.append(
            [
                run(_DRAWS, name, home=home, BECKON_SEED="7", BECKON_FAULT="publish:raise@0.5").stdout
                for name in ("worker", "worker", "worker-2")
            ]
        )
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3
    assert run(_DRAWS, "worker", home=tmp_path / "0", BECKON_SEED="8").stdout not in runs[0]


@pytest.mark.parametrize(
    ("action", "code"), [("kill", -signal.SIGKILL), ("oom", -signal.SIGKILL), ("raise", 1), ("sleep", 0)]
)
def test_each_action_does_what_it_says_and_the_process_says_that_it_is_armed(
    tmp_path: Path, action: str, code: int
) -> None:
    done = run(_FAULT, home=tmp_path, BECKON_FAULT=f"publish:{action}", BECKON_SEED="7")
    assert done.returncode == code
    assert (done.stdout == "passed\n") == (code == 0)
    assert f"faults armed: publish:{action}, seed 7" in done.stderr
    assert ("InjectedFaultError" in done.stderr) == (action == "raise")


def test_running_out_of_memory_takes_no_more_than_its_share(tmp_path: Path) -> None:
    """The fault is for this process, not for the machine."""
    code = "import resource\n" + _FAULT.replace(
        'fault("publish")', 'import os\nif os.fork() == 0: fault("publish")'
    )
    code += "os.wait()\nprint(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    done = run(code, home=tmp_path, BECKON_FAULT="publish:oom")
    peak = int(done.stdout.split()[-1]) * 1024
    assert peak < 300 * 1024**2
