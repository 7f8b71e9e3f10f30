"""Bring a database to the schema of this code, in one transaction and one process at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from federation.errors import OwnStoreUnavailable
from node.store.tables import HEAD

__all__ = ["upgrade"]

_MIGRATION_LOCK = 0x59524401
"""Key of the PostgreSQL advisory lock that replicas starting together queue at."""


def upgrade(connection: Connection) -> None:
    """Apply the revisions that are missing. The connection must be in a transaction that nobody else can
    enter.

    Raises OwnStoreUnavailable when the database was made by a newer release.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    current = _revision(connection)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise OwnStoreUnavailable(
            f"the database has schema {current}, newer than this release's {HEAD}: run the newer release"
        )
    _run(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run(connection: Connection) -> None:
    # Alembic takes a quarter of a second to import; a node that is up to date starts without it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    here = Path(__file__).parent
    scripts = ScriptDirectory(str(here), version_locations=[str(here / "versions")])
    config = Config()
    context = EnvironmentContext(
        config,
        scripts,
        fn=lambda revision, _: scripts._upgrade_revs("head", revision),
        destination_rev="head",
    )
    with context:
        context.configure(connection=connection, transactional_ddl=True)
        context.run_migrations()
