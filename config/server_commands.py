"""How the embedded servers are called: every setting that differs from their defaults."""

from __future__ import annotations

import os

from config.binaries import Binaries
from config.embedded import Paths

SHARED_MEMORY = "/dev/shm"  # noqa: S108
SMALL_SHARED_MEMORY = 512 * 1024 * 1024

# For two cores and a laptop's memory, but safe: a commit is on the disk when it is acknowledged.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "120",
    "max_locks_per_transaction": "256",  # Partitioned tables: a lock per partition and index.
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # An error's message, not the row it failed on nor the statement with its values.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
REDIS_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # The append-only file is the one copy on disk.
    "maxmemory-policy": "noeviction",
    "databases": "64",
    "daemonize": "no",
}


def server_commands(where: Paths, binaries: Binaries) -> dict[str, list[str]]:
    """Program and arguments of each server, by name."""
    postgres = {**POSTGRES_SETTINGS, "unix_socket_directories": str(where.run)}
    if _shared_memory() < SMALL_SHARED_MEMORY:
        postgres["dynamic_shared_memory_type"] = "mmap"  # A container's /dev/shm is often 64 MB.
    redis = {
        **REDIS_SETTINGS,
        "unixsocket": str(where.run / "redis.sock"),
        "dir": str(where.redis_data),
        "pidfile": str(where.redis_data / "redis.pid"),
    }
    return {
        "postgres": [str(binaries.postgres), "-D", str(where.postgres_data)]
        + [part for name, value in postgres.items() for part in ("-c", f"{name}={value}")],
        "redis": [
            str(binaries.redis),
            *(part for name, value in redis.items() for part in (f"--{name}", value)),
        ],
    }


def _shared_memory() -> int:
    """Bytes free for shared memory; plenty where there is none to ask about."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except FileNotFoundError:
        return SMALL_SHARED_MEMORY
    return found.f_bavail * found.f_frsize
