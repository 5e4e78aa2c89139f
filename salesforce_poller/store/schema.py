"""Which version of the schema a database has, and how it gets ours: the scripts in ``migrations/``, run by Alembic.

Alembic is imported when there is something to run, which for most starts of the daemon there is not: it has 8 MB. Until
then the names of the scripts, which begin with their versions, and the table that it keeps tell enough.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from salesforce_poller.errors import NoStore, SchemaTooNew, StoreError

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

_KEPT = table("alembic_version", column("version_num"))


def migrations_folder() -> Path:
    """Find the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def versions() -> list[str]:
    """Return every version that this program knows, oldest first."""
    return sorted(path.stem.partition("_")[0] for path in (migrations_folder() / "versions").glob("[0-9]*.py"))


def head() -> str:
    """Return the version that this program wants."""
    return versions()[-1]


def version(connection: Connection) -> str | None:
    """Return the version that a database has; None where it has no tables of ours yet.

    Raises:
        SchemaTooNew: a newer version of this program wrote it.
    """
    there = inspect(connection).has_table(_KEPT.name)
    have = connection.execute(select(_KEPT.c.version_num)).scalar_one_or_none() if there else None
    if have is not None and have not in versions():
        raise SchemaTooNew(
            f"a newer version of salesforce-poller wrote this store (schema {have}); upgrade the program"
        )
    return have


def check(connection: Connection) -> None:
    """Refuse a schema that is not exactly ours. Looking at an older one would need an upgrade first."""
    have = version(connection)
    if have is None:
        raise NoStore("there is nothing in the store yet; it is made by the first `salesforce-poller run`")
    if have != head():
        raise StoreError(
            "the store is of an older version; `salesforce-poller db upgrade` or the next `run` upgrades it"
        )


def missing(have: str | None) -> list[str]:
    """Return what a database of this version lacks, oldest first: "0008 Give positions from a counter of our own …"."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # see above

    scripts = ScriptDirectory.from_config(alembic()).iterate_revisions(head(), have)
    return [f"{one.revision} {one.doc}" for one in scripts][::-1]


def upgrade(connection: Connection) -> None:
    """Bring a database up to date, inside the transaction of the connection."""
    if version(connection) == head():
        return
    from alembic import command  # noqa: PLC0415  # see above

    config = alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def alembic() -> "AlembicConfig":
    """Return Alembic's settings."""
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415  # see above

    config = AlembicConfig()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))  # "%" is ConfigParser's
    return config
