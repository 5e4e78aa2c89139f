"""Remember what is wrong with which org and which feed, and since when."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Name

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "troubles",
        sa.Column("org", Name, primary_key=True),
        sa.Column("object", Name, primary_key=True),
        sa.Column("name", Name, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
