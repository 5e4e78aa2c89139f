"""The words for trouble, named by what the caller should do about it.

    PollerError
    ├── ConfigError(problems)         show all of them, exit 2
    ├── TryLater(retry_after)         a bad moment: wait and ask again
    │   └── LimitReached(daily)       … with less: a limit of the org is used up
    ├── SessionExpired                log in again, once
    ├── Refused(code, message)        a person must act
    │   ├── OrgRefused                … on the whole org: every feed of it stops and is probed rarely
    │   │   └── LoginRefused          … on the credentials, the app or the user
    │   ├── FieldsUnknown             re-describe, drop the field, ask again
    │   └── ObjectUnknown             the object or the permission is gone
    ├── LocatorLost                   restart the page from the last committed row
    ├── ReplicationDateInvalid        the log does not reach back that far: a gap
    ├── TooMuch                       ask for half of it
    ├── BulkRefused                   read it with REST queries instead
    ├── JobLost                       create the Bulk query job anew, and read it from its beginning
    ├── Stopped                       the program is stopping; nothing is wrong
    ├── NotUnderstood                 a person asked for it the wrong way: say it as the text says
    ├── NotKnown                      a person named what is not there: name one of those that are
    ├── NotNow                        what a person asked for cannot be done at this moment
    └── StoreError                    the memory cannot be used as it is
        ├── StoreInUse                another process has it
        └── SchemaTooNew              a newer salesforce-poller wrote it

Every edge turns the foreign exceptions it knows into one of these, chains the original as the cause and
caps foreign text, so that nothing above an edge ever sees another library's error. What Salesforce said travels beside
the message as :class:`Facts`; ``salesforce/troubles.py`` has the table they come from. Ground floor: the standard
library only.
"""

import re
from dataclasses import dataclass
from enum import Enum

#: Foreign text (bodies, driver messages) is cut to this many characters before it may reach a log or a person.
FOREIGN_TEXT_LIMIT = 300
#: Control characters; the invisible ones that letters of some scripts need are none.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def capped(text: str, limit: int = FOREIGN_TEXT_LIMIT) -> str:
    """Return foreign text on one line, at most ``limit`` characters long, and without what commands a terminal."""
    line = _CONTROL.sub("\ufffd", " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Action(Enum):
    """What happens next, in the words of the documentation."""

    RETRY = "retry with backoff"
    LOG_IN = "log in again, once"
    RESTART_PAGE = "restart the page from the last committed row"
    HALVE = "ask for half of it"
    DROP_FIELD = "describe the object again and drop the field"
    SLOW_DOWN = "slow down"
    TELL_GAP = "tell a gap and go on from now"
    DISBELIEVE = "believe nothing, and compare again later"
    PAUSE_FEED = "pause the feed and probe it"
    STOP_ORG = "stop the org and probe it rarely"


class Scope(Enum):
    """How much of the configuration a trouble is about."""

    FEED = "feed"
    ORG = "org"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an answer that was not the one hoped for; empty strings where nothing is."""

    #: The name of its row in ``salesforce/troubles.py``; short and stable, so that a store can keep it.
    trouble: str = ""
    #: Salesforce's errorCode, or the token endpoint's ``error``.
    code: str = ""
    #: The HTTP status.
    status: int | None = None
    #: Salesforce's own words, one line, capped.
    said: str = ""
    #: What has happened, in our words.
    means: str = ""
    #: What a person can do about it.
    advice: str = ""
    #: Salesforce's own page about it.
    help_url: str = ""
    #: Names the request in Salesforce's own logs; their support asks for it.
    request_id: str = ""
    action: Action | None = None
    scope: Scope = Scope.FEED


#: Of an error that is not about an answer of Salesforce's.
NOTHING_KNOWN = Facts()


class PollerError(Exception):
    """Root of everything this program raises on purpose; ``str()`` of it is one readable line."""

    def __init__(self, message: str = "", *, facts: Facts | None = None) -> None:
        super().__init__(message)
        self.facts = facts or NOTHING_KNOWN

    def explained(self) -> str:
        """Return the line with what to do about it, and where Salesforce explains more."""
        if not self.facts.advice:
            return str(self)
        line = f"{str(self).rstrip('.')}. What to do: {self.facts.advice}"
        return f"{line}. See {self.facts.help_url}" if self.facts.help_url else line


class ConfigError(PollerError):
    """The configuration cannot be used; carries every problem found, each one line with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TryLater(PollerError):
    """A bad moment that may pass by itself; ``retry_after`` is the other side's wish in seconds, if it had one."""

    def __init__(self, message: str, retry_after: float | None = None, *, facts: Facts | None = None) -> None:
        super().__init__(message, facts=facts)
        self.retry_after = retry_after


class LimitReached(TryLater):
    """A limit of the org is used up; ask less, and later.

    ``daily`` tells the rolling 24-hour allocation of API requests, which the whole org shares and which comes back by
    the hour, from limits that pass with the requests that hold them.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, daily: bool, facts: Facts | None = None
    ) -> None:
        super().__init__(message, retry_after, facts=facts)
        self.daily = daily


class SessionExpired(PollerError):
    """The access token is no longer accepted; logging in again, once, may help."""


class Refused(PollerError):
    """Salesforce said no, and asking again unchanged will not help: a person must act."""

    def __init__(self, message: str, *, code: str = "", status: int | None = None, facts: Facts | None = None) -> None:
        facts = facts or Facts(code=code, status=status)
        super().__init__(message, facts=facts)
        self.code = facts.code
        self.status = facts.status


class OrgRefused(Refused):
    """The whole org is closed to us: locked, expired, without the API, or another org than the one we know."""


class LoginRefused(OrgRefused):
    """The credentials, the app or the user are not accepted."""


class FieldsUnknown(Refused):
    """A selected field does not exist for this user any more (INVALID_FIELD)."""


class ObjectUnknown(Refused):
    """The object does not exist for this user (any more) (INVALID_TYPE, NOT_FOUND)."""


class LocatorLost(PollerError):
    """The query locator was released (INVALID_QUERY_LOCATOR); the query must be asked again from a keyset."""


class ReplicationDateInvalid(PollerError):
    """The replication log does not cover the window that was asked for (INVALID_REPLICATION_DATE)."""


class TooMuch(PollerError):
    """The answer would be too large or take too long (EXCEEDED_ID_LIMIT, QUERY_TIMEOUT, OPERATION_TOO_LARGE)."""


class BulkRefused(PollerError):
    """The Bulk API does not read this, or we could not read it faithfully from there; REST queries can."""


class JobLost(PollerError):
    """A Bulk query job failed, was aborted or is gone; what it would have told must be asked again."""


class Stopped(PollerError):
    """The program was asked to stop in the middle of something long; the next run goes on from the last page."""


class NotUnderstood(PollerError):
    """A person's order is not one, or lacks something; the text says what would be right (HTTP 400)."""


class NotKnown(PollerError):
    """A person named a sink, a feed or an event that is not there; the text names those that are (HTTP 404)."""


class NotNow(PollerError):
    """A person's order is in order and cannot be carried out at this moment; the text says why (HTTP 409)."""


class StoreError(PollerError):
    """The store cannot be used as it is."""


class NoStore(StoreError):
    """There is no store yet."""


class StoreInUse(StoreError):
    """Another process holds the store."""


class StoreAway(StoreError):
    """The database is not there now: it restarts, hands over, or cannot be reached. It may be there again any time."""


class StoreWentBack(StoreError):
    """The database is in an earlier state than we have seen it in: a standby that lacked the last moments took over.

    What was to be written was made of what is no longer there, and must be made anew.
    """


class SinkForgotten(StoreError):
    """The store does not know a sink. Where it must, it went back to before that was first seen."""


class LeaseLost(StoreError, Stopped):
    """Another process works for this now, or might: nothing was written. Ends a turn or a round, and no program."""


class SchemaTooNew(StoreError):
    """The store was written by a newer version of this program."""
