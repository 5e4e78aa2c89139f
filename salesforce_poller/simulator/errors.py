"""A refusal of the simulated Salesforce: status, error code and message, as REST clients see it.

Raised by statements (`transactions`), the replication calls (`replication`) and the routes; turned into the
error array of REST API Developer Guide, "Status Codes and Error Responses", by `rest`.
"""

from typing import Any


class ApiError(Exception):
    """One refusal: an HTTP status, an errorCode such as `INVALID_FIELD`, a message, and the fields it is about."""

    def __init__(self, status: int, code: str, message: str, fields: tuple[str, ...] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> list[dict[str, Any]]:
        """The REST error body: an array, even for one error."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return [error]

    def item(self) -> dict[str, Any]:
        """The same error inside a collection's result, where the key is `statusCode`."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}


def not_found() -> ApiError:
    """No such path, no such record, or a record this user may not see."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def entity_is_deleted() -> ApiError:
    """The record exists, deleted."""
    return ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", ())


def no_such_record() -> ApiError:
    """A write to an id that no record has."""
    return ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())


def locked(record_id: str) -> ApiError:
    """Another transaction has written the row and not committed yet."""
    message = f"unable to obtain exclusive access to this record or 1 records: {record_id[:15]}"
    return ApiError(400, "UNABLE_TO_LOCK_ROW", message, ())


def no_such_column(object_name: str, field: str) -> ApiError:
    """A field that does not exist, or that this user may not see."""
    return ApiError(400, "INVALID_FIELD", f"No such column '{field}' on sobject of type {object_name}")


def invalid_type(object_name: str) -> ApiError:
    """An object that does not exist, or that this user may not see, named outside a URL."""
    return ApiError(400, "INVALID_TYPE", f"sObject type '{object_name}' is not supported.")
