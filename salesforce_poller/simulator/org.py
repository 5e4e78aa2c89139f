"""The org: rows, transactions, the truth about them, and what its users may see.

Built by tests and by `__main__`, served by `server.build`. Its own statements are transactions of one statement;
`begin` opens a longer one. It is also the query side's source (`query.Source`). How rows change is in `transactions`.
"""

import random
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from salesforce_poller.simulator import errors, founding, ids
from salesforce_poller.simulator.access import Access
from salesforce_poller.simulator.approvals import Approvals, Codes
from salesforce_poller.simulator.bulk import Bulk
from salesforce_poller.simulator.catalogue import ObjectType, catalogue
from salesforce_poller.simulator.changes import Change, Row
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.concurrency import Concurrency
from salesforce_poller.simulator.connected_app import ConnectedApp
from salesforce_poller.simulator.conversion import Conversion
from salesforce_poller.simulator.cursors import Cursors
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.instance import Instance
from salesforce_poller.simulator.login_rate import LoginRate
from salesforce_poller.simulator.metering import ALLOWANCES, Meter
from salesforce_poller.simulator.sessions import Sessions
from salesforce_poller.simulator.storage import Storage
from salesforce_poller.simulator.tally import Tally
from salesforce_poller.simulator.transactions import Transaction
from salesforce_poller.simulator.undocumented import Undocumented
from salesforce_poller.simulator.weather import Weather
from salesforce_poller.simulator.workspace import Workspace

AGE = timedelta(days=400)
"""How long before the clock's first instant the org was founded."""

CAPACITY = 10_000


class Org:
    """A Salesforce org in memory.

    `clock` is its time; `seed` makes everything random in it repeatable; `edition` decides the API allowance (one of
    `metering.ALLOWANCES`); `app` is the client it lets in; `undocumented` answers what Salesforce leaves open;
    `capacity` is how many records the recycle bin, and lines the delete log, hold; `things` how many custom objects
    there are beside the usual ones, and `wide` whether one with 500 custom fields is.
    Statements raise `errors.ApiError`, with the codes of the REST API.
    """

    def __init__(
        self,
        *,
        clock: OrgClock,
        seed: int = 0,
        edition: str = "Developer Edition",
        organization_id: str | None = None,
        app: ConnectedApp | None = None,
        undocumented: Undocumented | None = None,
        capacity: int = CAPACITY,
        things: int = 0,
        wide: bool = False,
    ) -> None:
        self.clock = clock
        self.edition = edition
        self.organization_id = ids.to18(organization_id or ids.new_id("00D", seed + 1))
        self.app = app or ConnectedApp()
        self.undocumented = undocumented or Undocumented()
        self.rng = random.Random(seed)
        self.weather = Weather(self.rng)
        self.meter = Meter(ALLOWANCES[edition], self.rng)
        self.concurrency = Concurrency(edition)
        self.tally = Tally()
        self.instance = Instance()
        self.sessions = Sessions(self.organization_id, self.rng)
        self.approvals = Approvals(self.rng)
        self.codes = Codes(self.rng)
        self.login_rate = LoginRate()
        self.cursors = Cursors()
        self.access = Access(clock.now())
        self.storage = Storage(clock, catalogue(things, wide=wide), capacity=capacity)
        self.bulk = Bulk(self, clock.now, self.rng)
        self.storage.before_commit = self.access.before_change = self.bulk.run_due
        self._by_lower_name = {name.lower(): type_ for name, type_ in self.storage.types.items()}
        self.user = ids.new_id("005", 1)
        """The id of the user whose work the org's own statements are; anybody of `people` may be put here."""
        founders = self._found()
        self.people = founders.people
        self.integration_user = founders.integration_user
        self.queue = founders.queue
        self.approvals.keep(self.integration_user, self.app.refresh_token)

    # ---------------------------------------------------------------------------------------- statements

    def begin(self, *, by: str | None = None) -> Transaction:
        """Open a transaction, by this user (default: `user`). Until it ends it holds back `latestDateCovered`."""
        self.storage.expire()
        work = Workspace(self.storage, now=self.clock.now, by=by or self.user)
        return Transaction(work, self.undocumented)

    def insert(self, object_name: str, /, **fields: Any) -> str:
        """Create one record and return its id."""
        with self.begin() as transaction:
            return transaction.insert(object_name, **fields)

    def insert_many(self, object_name: str, /, records: Iterable[Mapping[str, Any]]) -> list[str]:
        """Create records in one transaction, all with one stamp, and return their ids in order."""
        with self.begin() as transaction:
            return transaction.insert_many(object_name, records)

    def update(self, record_id: str, /, **fields: Any) -> None:
        """Save a record: both stamps move even when every value is the one it had."""
        with self.begin() as transaction:
            transaction.update(record_id, **fields)

    def delete(self, record_id: str) -> None:
        """Put a record into the recycle bin, and with it the children that go along with it."""
        with self.begin() as transaction:
            transaction.delete(record_id)

    def undelete(self, record_id: str) -> None:
        """Take a record out of the recycle bin; raises UNDELETE_FAILED."""
        with self.begin() as transaction:
            transaction.undelete(record_id)

    def purge(self, record_id: str) -> None:
        """Empty the recycle bin of a record: not restorable any more, in queryAll for another 24 hours."""
        with self.begin() as transaction:
            transaction.purge(record_id)

    def hard_delete(self, record_id: str) -> None:
        """Remove a record at once, even from queryAll; getDeleted lists it."""
        with self.begin() as transaction:
            transaction.hard_delete(record_id)

    def merge(self, winner_id: str, *loser_ids: str) -> None:
        """Merge one or two losers into the winner."""
        with self.begin() as transaction:
            transaction.merge(winner_id, *loser_ids)

    def convert(self, lead_id: str, *, opportunity_name: str | None = None) -> Conversion:
        """Convert a lead into an account, a contact and, if named, an opportunity."""
        with self.begin() as transaction:
            return transaction.convert(lead_id, opportunity_name=opportunity_name)

    def restamp(self, object_name: str) -> int:
        """Move SystemModstamp of every live row of the object, and nothing else; returns how many."""
        with self.begin() as transaction:
            return transaction.restamp(object_name)

    # ---------------------------------------------------------------------------------------- what is true

    @property
    def truth(self) -> list[Change]:
        """Every committed change since the org was founded, in commit order."""
        return self.storage.truth

    # ---------------------------------------------------------------------------------------- what is seen

    @property
    def is_sandbox(self) -> bool:
        """Whether people log in at test.salesforce.com."""
        return "Sandbox" in self.edition

    def type(self, name: str) -> ObjectType | None:
        """The object of that name, whatever its case; None when there is none or it is disabled."""
        type_ = self._by_lower_name.get(name.lower())
        return type_ if type_ is not None and self.access.sees_object(type_.name) else None

    def types(self) -> dict[str, ObjectType]:
        """Every object that is not disabled, by name."""
        return {name: type_ for name, type_ in self.storage.types.items() if self.access.sees_object(name)}

    def scan(self, object_name: str, *, deleted: bool) -> list[Row]:
        """The committed rows this user may see, deleted ones only if asked for."""
        self.storage.expire()
        rows = self.storage.rows[object_name].values()
        hidden = self.access.hidden_records
        return [row for row in rows if (deleted or not row.get("IsDeleted")) and row["Id"] not in hidden]

    def get(self, object_name: str, record_id: str) -> Row | None:
        """A committed row, live or deleted, by its 18-character id; None when this user may not see it."""
        return self.storage.rows[object_name].get(record_id) if self.access.sees_record(record_id) else None

    def hidden(self, object_name: str) -> frozenset[str]:
        """The fields of the object that do not exist for this user."""
        return self.access.hidden_fields(object_name)

    def pay(self, kind: str) -> None:
        """Take one call of this kind off the allowance; raises REQUEST_LIMIT_EXCEEDED when it is used up."""
        if not self.meter.spend(self.clock.now()):
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.tally.pay(kind)

    # ---------------------------------------------------------------------------------------- switches

    def hide_field(self, object_name: str, field: str) -> None:
        """Take a field away from the API user (field-level security): it is not described and cannot be queried."""
        self._switch_field(object_name, field, visible=False)

    def show_field(self, object_name: str, field: str) -> None:
        """Give the field back."""
        self._switch_field(object_name, field, visible=True)

    def hide_record(self, record_id: str) -> None:
        """Stop sharing a record with the API user; nothing is stamped."""
        self.access.record(ids.to18(record_id), visible=False)

    def show_record(self, record_id: str) -> None:
        """Share it again; nothing is stamped."""
        self.access.record(ids.to18(record_id), visible=True)

    def disable_object(self, object_name: str) -> None:
        """Take an object away: INVALID_TYPE in queries, 404 in paths."""
        self.access.object(self._known(object_name).name, visible=False, now=self.clock.now())

    def enable_object(self, object_name: str) -> None:
        """Give it back."""
        self.access.object(self._known(object_name).name, visible=True, now=self.clock.now())

    def expire_sessions(self) -> None:
        """End every session: the next request with its token is answered 401."""
        self.sessions.expire()

    def change_app(self, app: ConnectedApp) -> None:
        """Set up the connected app differently; a refresh token that is new to it counts as approved."""
        if app.refresh_token != self.app.refresh_token:
            self.approvals.keep(self.integration_user, app.refresh_token)
        self.app = app

    def become(self, organization_id: str) -> None:
        """Be another organisation with the same records, as a sandbox is after a refresh; nobody is logged in."""
        if not ids.is_id(organization_id) or not organization_id.startswith("00D"):
            raise ValueError(f"id: not the id of an organisation: {organization_id}")
        rows = self.storage.rows["Organization"]
        row = rows.pop(self.organization_id)
        self.organization_id = ids.to18(organization_id)
        rows[self.organization_id] = {**row, "Id": self.organization_id}
        idle = self.sessions.idle
        self.sessions = Sessions(self.organization_id, self.rng)
        self.sessions.idle = idle
        self.approvals.clear()

    def set_usage(self, used: int, allowance: int) -> None:
        """Pretend that so many calls of so many allowed were made just now."""
        self.meter.set_usage(used, allowance, self.clock.now())

    def _switch_field(self, object_name: str, field: str, *, visible: bool) -> None:
        type_ = self._known(object_name)
        found = type_.field(field)
        if found is None:
            raise errors.no_such_column(type_.name, field)
        self.access.field(type_.name, found.name, visible=visible, now=self.clock.now())

    def _known(self, object_name: str) -> ObjectType:
        type_ = self._by_lower_name.get(object_name.lower())
        if type_ is None:
            raise errors.invalid_type(object_name)
        return type_

    def _found(self) -> founding.Founders:
        first_day = self.clock.now() - AGE
        work = Workspace(self.storage, now=lambda: first_day, by=self.user)
        with Transaction(work, self.undocumented) as transaction:
            founding.organization(work, self.organization_id, self.edition)
            founders = founding.found(transaction)
        self.truth.clear()
        return founders
