"""Give positions from a counter of our own, so that events become visible in their order in every database."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Name

revision = "0008"
down_revision = "0007"

_TOPS = "SELECT max(position) AS top FROM events UNION ALL SELECT max(cursor) FROM sinks"
_GIVEN = " UNION ALL SELECT seq FROM sqlite_sequence WHERE name = 'events'"


def upgrade() -> None:
    """Begin behind every position that was ever given, also those of events that were pruned."""
    counters = op.create_table(
        "counters",
        sa.Column("name", Name, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    connection = op.get_bind()
    tops = _TOPS + (_GIVEN if connection.dialect.name == "sqlite" else "")
    last = connection.execute(sa.text(f"SELECT max(top) FROM ({tops}) AS tops")).scalar_one()  # noqa: S608  # our own words
    op.bulk_insert(counters, [{"name": "events", "last": last or 0}])
