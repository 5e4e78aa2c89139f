"""Remember how far feeds are read, what records looked like, what changed and what is owed to sinks."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Id, Name

revision = "0001"
down_revision = None

_POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the first five tables."""
    op.create_table(
        "feeds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("org", Name, nullable=False),
        sa.Column("object", Name, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("seen_through", sa.BigInteger, nullable=False),
        sa.Column("settled_through", sa.BigInteger, nullable=False),
        sa.Column("deleted_through", sa.BigInteger, nullable=False),
        sa.Column("backfill_since", sa.BigInteger),
        sa.Column("backfill_until", sa.BigInteger, nullable=False),
        sa.Column("backfill_after_stamp", sa.BigInteger),
        sa.Column("backfill_after_id", Id),
        sa.Column("backfill_done", sa.Boolean, nullable=False),
        sa.Column("primed", sa.Boolean, nullable=False),
        sa.Column("polled_at", sa.BigInteger),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("org", "object", name="uq_feeds_org_object"),
    )
    op.create_table(
        "sightings",
        sa.Column("feed_id", sa.Integer, sa.ForeignKey("feeds.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("record_id", Id, primary_key=True),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("merged_into", Id),
        sa.Column("fields", sa.Text),
    )
    op.create_index("ix_sightings_forget", "sightings", ["feed_id", "deleted", "stamp"])
    op.create_table(
        "events",
        sa.Column("position", _POSITION, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("org", Name, nullable=False),
        sa.Column("object", Name, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("record_key", Name, nullable=False),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("id", "org", name="uq_events_id_org"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_record", "events", ["record_key", "position"])
    op.create_index("ix_events_recorded", "events", ["recorded_at"])
    op.create_table(
        "sinks",
        sa.Column("name", Name, primary_key=True),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("paused", sa.Text, nullable=False, server_default=""),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("down_since", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
    )
    op.create_table(
        "parked",
        sa.Column("sink", Name, sa.ForeignKey("sinks.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("record_key", Name, nullable=False),
        sa.Column("dead", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_tried_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("ix_parked_due", "parked", ["sink", "dead", "due_at"])
    op.create_index("ix_parked_record", "parked", ["sink", "record_key", "position"])
