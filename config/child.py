"""A child of the supervisor: `python -m config.child <supervisor's pid> <module> <arguments>…`.

Runs the module as `python -m` would, and ends when the supervisor ends.
"""

from __future__ import annotations

import runpy
import sys

from config.parent_death import die_with


def main() -> None:
    """Tie this process to the supervisor, then become the module."""
    parent, module, *arguments = sys.argv[1:]
    die_with(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
