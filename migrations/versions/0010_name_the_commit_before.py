"""Give feeds, sinks and events the number of the commit that wrote them: a store that went back is found out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add it; what is there has none yet, and what an older program still writes beside us leaves it as it is."""
    for name in ("feeds", "sinks", "events"):
        op.add_column(name, sa.Column("version", sa.BigInteger, nullable=False, server_default="0"))
