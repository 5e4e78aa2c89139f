"""Count the calls that orgs are asked, remember their limits, keep secrets, and read backfills from Bulk jobs."""

import sqlalchemy as sa
from alembic import op

from salesforce_poller.store.tables import Id, Name

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make three tables; let feeds remember more of their backfill."""
    op.create_table(
        "calls",
        sa.Column("org", Name, primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        sa.Column("calls", sa.Integer, nullable=False),
    )
    op.create_table(
        "orgs",
        sa.Column("name", Name, primary_key=True),
        sa.Column("heard_at", sa.BigInteger),
        sa.Column("used", sa.BigInteger),
        sa.Column("allowed", sa.BigInteger),
        sa.Column("budget", sa.BigInteger),
        sa.Column("stretch", sa.Float, nullable=False, server_default="1"),
        sa.Column("stretched_until", sa.BigInteger),
        sa.Column("paused_until", sa.BigInteger),
        sa.Column("pause_reason", sa.Text, nullable=False, server_default=""),
    )
    op.create_table(
        "secrets",
        sa.Column("org", Name, primary_key=True),
        sa.Column("name", Name, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("written_at", sa.BigInteger, nullable=False),
    )
    op.add_column("feeds", sa.Column("backfill_job", Id))
    op.add_column("feeds", sa.Column("backfill_locator", sa.Text))
    op.add_column("feeds", sa.Column("backfill_rows", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("feeds", sa.Column("backfill_total", sa.BigInteger))
    op.add_column("feeds", sa.Column("reconciled_at", sa.BigInteger))
