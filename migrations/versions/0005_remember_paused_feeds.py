"""Remember which feeds a person paused."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Name

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "pauses",
        sa.Column("org", Name, primary_key=True),
        sa.Column("object", Name, primary_key=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
