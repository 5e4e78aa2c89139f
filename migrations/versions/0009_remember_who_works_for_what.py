"""Remember which processes share a store, and which of them works for which org and sink."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Name

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables of processes and leases."""
    op.create_table(
        "processes",
        sa.Column("id", Name, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("duties", sa.String(64), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("kind", Name, primary_key=True),
        sa.Column("name", Name, primary_key=True),
        sa.Column("holder", Name),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger),
    )
    op.create_index("ix_leases_holder", "leases", ["holder"])
