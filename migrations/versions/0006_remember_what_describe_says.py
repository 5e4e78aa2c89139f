"""Remember what describe says of the fields that each feed selects."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Name

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "described",
        sa.Column("org", Name, primary_key=True),
        sa.Column("object", Name, primary_key=True),
        sa.Column("types", sa.Text, nullable=False),
    )
