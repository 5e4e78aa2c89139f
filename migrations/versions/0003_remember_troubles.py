"""Remember what is wrong with which org and which feed, and since when."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "troubles",
        sa.Column("org", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
