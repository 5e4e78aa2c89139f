"""The words for trouble, named by what the caller should do about it.

    PollerError
    ├── ConfigError(problems)         show all of them, exit 2
    ├── TryLater(retry_after)         a bad moment: wait and ask again
    ├── SessionExpired                log in again, once
    ├── Refused(code, message)        a person must act
    │   ├── LoginRefused              … on the credentials
    │   ├── FieldsUnknown             re-describe, drop the field, ask again
    │   └── ObjectUnknown             the object or the permission is gone
    ├── LocatorLost                   restart the page from the last committed row
    ├── ReplicationDateInvalid        the log does not reach back that far: a gap
    ├── TooMuch                       ask for half of it
    ├── Stopped                       the program is stopping; nothing is wrong
    └── StoreError                    the memory cannot be used as it is
        ├── StoreInUse                another process has it
        └── SchemaTooNew              a newer salesforce-poller wrote it

Every edge turns the foreign exceptions it knows into one of these, chains the original as the cause and
caps foreign text, so that nothing above an edge ever sees another library's error. Ground floor: imports nothing.
"""

#: Foreign text (bodies, driver messages) is cut to this many characters before it may reach a log or a person.
FOREIGN_TEXT_LIMIT = 300


def capped(text: str, limit: int = FOREIGN_TEXT_LIMIT) -> str:
    """Return foreign text on one line and at most ``limit`` characters long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class PollerError(Exception):
    """Root of everything this program raises on purpose."""


class ConfigError(PollerError):
    """The configuration cannot be used; carries every problem found, each one line with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TryLater(PollerError):
    """A bad moment that may pass by itself; ``retry_after`` is the other side's wish in seconds, if it had one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SessionExpired(PollerError):
    """The access token is no longer accepted; logging in again, once, may help."""


class Refused(PollerError):
    """Salesforce said no, and asking again unchanged will not help: a person must act."""

    def __init__(self, message: str, *, code: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class LoginRefused(Refused):
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


class Stopped(PollerError):
    """The program was asked to stop in the middle of something long; the next run goes on from the last page."""


class StoreError(PollerError):
    """The store cannot be used as it is."""


class StoreInUse(StoreError):
    """Another process holds the store."""


class SchemaTooNew(StoreError):
    """The store was written by a newer version of this program."""
