"""The tables, as ``migrations/`` leaves them. A test compares the two.

feeds       how far each feed is read                          one row a feed
sightings   what each record looked like last time             one row a record
events      what changed; append-only, in order of position    one row an event
sinks       how far each sink has taken the events             one row a sink
parked      deliveries that were not simply accepted           rows for exceptions only
calls       API calls that an org was asked, by the minute     one row a minute with calls
orgs        what an org said of its limits, and whether it     one row an org
            is paused
troubles    what is wrong, until it is over                    one row a feed or org in trouble
secrets     what must be remembered and not be read            one row a secret
pauses      feeds that a person paused                         one row a paused feed
described   what describe says of the fields of each feed      one row a feed
counters    the last position that was given to an event       one row
processes   who works with this store, and until when it       one row a process; on PostgreSQL only
            is known to be alive
leases      which process works for which org and sink         one row an org and sink; on PostgreSQL only
"""

import functools
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_MILLISECOND = timedelta(milliseconds=1)


@functools.lru_cache(maxsize=1024)  # the rows of a page have few instants
def milliseconds(at: datetime) -> int:
    """Return an instant as the tables have it."""
    return (at - _EPOCH) // _MILLISECOND


class Instant(TypeDecorator[datetime]):
    """An instant, kept as whole milliseconds since 1970 UTC: small, sortable and the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Write."""
        return None if value is None else milliseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Read."""
        return None if value is None else _EPOCH + timedelta(milliseconds=value)


class Words(TypeDecorator[str]):
    """What somebody else said, without what a database may not take: PostgreSQL no NUL, both no half characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Write."""
        return (
            None
            if value is None
            else value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
        )


#: Compared byte by byte in every database, whatever language it sorts in: ids, and names that people gave.
Name = String().with_variant(String(collation="C"), "postgresql")
Id = String(18).with_variant(String(18, collation="C"), "postgresql")
#: SQLite numbers rows by itself only when the column is called INTEGER.
_Position = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

feeds = Table(
    "feeds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("org", Name, nullable=False),
    Column("object", Name, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("organization_id", Id, nullable=False),
    Column("seen_through", Instant, nullable=False),
    Column("settled_through", Instant, nullable=False),
    Column("deleted_through", Instant, nullable=False),
    Column("backfill_since", Instant),
    Column("backfill_until", Instant, nullable=False),
    Column("backfill_after_stamp", Instant),
    Column("backfill_after_id", Id),
    Column("backfill_done", Boolean, nullable=False),
    Column("primed", Boolean, nullable=False),
    Column("polled_at", Instant),  # machine time of the last turn that went well
    Column("failing_since", Instant),  # machine time of the first failed turn since then
    Column("last_error", Words, nullable=False, server_default=""),
    Column("backfill_job", Id),  # the Bulk query job that is being read
    Column("backfill_locator", Text),  # where in its results; null: at their beginning
    Column("backfill_rows", BigInteger, nullable=False, server_default="0"),  # rows read so far
    Column("backfill_total", BigInteger),  # about how many there are; null: not known
    Column("reconciled_at", Instant),  # the org's time at which ids were last compared
    Column("version", BigInteger, nullable=False, server_default="0"),  # of the last commit; see versions.py
    UniqueConstraint("org", "object"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("feed_id", Integer, ForeignKey("feeds.id", ondelete="CASCADE"), primary_key=True),
    Column("record_id", Id, primary_key=True),
    Column("stamp", Instant, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("merged_into", Id),
    Column("fields", Text),  # JSON; null when the record was only ever seen in the delete log
    Index("ix_sightings_forget", "feed_id", "deleted", "stamp"),
)

events = Table(
    "events",
    metadata,
    Column("position", _Position, primary_key=True),
    Column("id", String(32), nullable=False),
    Column("org", Name, nullable=False),
    Column("object", Name, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("record_key", Name, nullable=False),  # the record's id, or the object for a gap: the unit of ordering
    Column("stamp", Instant, nullable=False),  # Salesforce's
    Column("recorded_at", Instant, nullable=False),  # machine time
    Column("body", Text, nullable=False),  # JSON; see codec.py
    Column("version", BigInteger, nullable=False, server_default="0"),  # of the commit; see versions.py
    UniqueConstraint("id", "org"),  # one organisation may be watched under two names, and be told under both
    Index("ix_events_record", "record_key", "position"),
    Index("ix_events_recorded", "recorded_at"),
    sqlite_autoincrement=True,  # from before there were counters; makes no difference
)

sinks = Table(
    "sinks",
    metadata,
    Column("name", Name, primary_key=True),
    Column("cursor", BigInteger, nullable=False),
    Column("paused", Words, nullable=False, server_default=""),
    Column("paused_by_person", Boolean, nullable=False, server_default=false()),
    Column("failing_since", Instant),
    Column("down_since", Instant),
    Column("last_error", Words, nullable=False, server_default=""),
    Column("version", BigInteger, nullable=False, server_default="0"),  # of the last round; see versions.py
)

parked = Table(
    "parked",
    metadata,
    Column("sink", Name, ForeignKey("sinks.name", ondelete="CASCADE"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("record_key", Name, nullable=False),
    Column("dead", Boolean, nullable=False, server_default=false()),
    Column("attempts", Integer, nullable=False),
    Column("first_tried_at", Instant),
    Column("due_at", Instant, nullable=False),
    Column("detail", Words, nullable=False, server_default=""),
    Column("replay", Boolean, nullable=False, server_default=false()),
    Column("response", Words, nullable=False, server_default=""),
    Index("ix_parked_due", "sink", "dead", "due_at", "position", "attempts"),
    Index("ix_parked_record", "sink", "record_key", "position"),
)

calls = Table(
    "calls",
    metadata,
    Column("org", Name, primary_key=True),
    Column("minute", BigInteger, primary_key=True),  # whole minutes since 1970 UTC, machine time
    Column("calls", Integer, nullable=False),
)

orgs = Table(
    "orgs",
    metadata,
    Column("name", Name, primary_key=True),
    Column("heard_at", Instant),  # machine time of what follows
    Column("used", BigInteger),  # API requests of the whole org in 24 hours, as it says
    Column("allowed", BigInteger),  # and how many it may have
    Column("budget", BigInteger),  # of which we may spend this many
    Column("stretch", Float, nullable=False, server_default="1"),  # intervals are this many times as long
    Column("stretched_until", Instant),
    Column("paused_until", Instant),
    Column("pause_reason", Words, nullable=False, server_default=""),
)

troubles = Table(
    "troubles",
    metadata,
    Column("org", Name, primary_key=True),
    Column("object", Name, primary_key=True),  # empty for what concerns the whole org
    Column("name", Name, nullable=False),  # a row of salesforce/trouble_table.py
    Column("error", Words, nullable=False),
    Column("since", Instant, nullable=False),  # machine time of the first failure without a success since
)

secrets = Table(
    "secrets",
    metadata,
    Column("org", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # encrypted with [store] secret_key
    Column("written_at", Instant, nullable=False),
)

#: The counter of positions; see ``appending.py``.
EVENTS = "events"
counters = Table(
    "counters",
    metadata,
    Column("name", Name, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    Column("id", Name, primary_key=True),
    Column("host", Words, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("duties", String(64), nullable=False),  # a digest of all that its configuration names
    Column("started_at", Instant, nullable=False),  # the database's time, as all that follow
    Column("expires_at", Instant, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("holder", Name),  # a process; null: nobody
    Column("fence", BigInteger, nullable=False),  # grows with every change of hands
    Column("since", Instant),
    Index("ix_leases_holder", "holder"),
)

pauses = Table(
    "pauses",  # a table of its own: a feed can be paused before it ever ran
    metadata,
    Column("org", Name, primary_key=True),
    Column("object", Name, primary_key=True),
    Column("why", Words, nullable=False),
    Column("since", Instant, nullable=False),  # machine time
)

described = Table(
    "described",
    metadata,
    Column("org", Name, primary_key=True),
    Column("object", Name, primary_key=True),
    Column("types", Text, nullable=False),  # JSON: lists of types by path
)
