"""The product's settings, with benchmarks/noop.py for its addresses."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.noop"
