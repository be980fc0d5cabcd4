"""A peer to compare with: plain Celery on Redis, as it comes and as its documentation makes it safer.

Nothing of Beckon runs here. The workers are those of the versions that requirements.txt pins.
"""
