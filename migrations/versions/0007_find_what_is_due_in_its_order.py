"""Let the parked deliveries that are due be read from the index in their order, however many there are."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Put what the question asks for, and the order of its answer, into the index."""
    op.drop_index("ix_parked_due", "parked")
    op.create_index("ix_parked_due", "parked", ["sink", "dead", "due_at", "position", "attempts"])
