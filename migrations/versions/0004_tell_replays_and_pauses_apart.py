"""Remember which deliveries are replays, what sinks answered, and who paused a sink."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Let parked deliveries and sinks remember more."""
    op.add_column("parked", sa.Column("replay", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("parked", sa.Column("response", sa.Text, nullable=False, server_default=""))
    op.add_column("sinks", sa.Column("paused_by_person", sa.Boolean, nullable=False, server_default=sa.false()))
