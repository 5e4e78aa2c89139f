"""Remember what describe says of the fields that each feed selects."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "described",
        sa.Column("org", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("types", sa.Text, nullable=False),
    )
