"""What the handlers ask about an object before they do anything with it."""

from collections.abc import Iterable

from salesforce_poller.simulator import errors, ids
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org


def named(org: Org, name: str) -> ObjectType:
    """The object of that name in a path; raises NOT_FOUND."""
    type_ = org.type(name)
    if type_ is None:
        raise errors.not_found()
    return type_


def full_id(type_: ObjectType, record_id: str) -> str:
    """The 18-character form of an id in a path; raises NOT_FOUND for no id, MALFORMED_ID for another object's."""
    if not ids.is_id(record_id):
        raise errors.not_found()
    if not record_id.startswith(type_.key_prefix or ""):
        raise ApiError(400, "MALFORMED_ID", f"{type_.label} ID: id value of incorrect type: {record_id}", ("Id",))
    return ids.to18(record_id)


def fields(org: Org, type_: ObjectType, names: Iterable[str]) -> list[str]:
    """The API's own names of these fields; raises INVALID_FIELD for one that does not exist or is hidden."""
    hidden = org.hidden(type_.name)
    found = []
    for name in names:
        field = type_.field(name)
        if field is None or field.name in hidden:
            raise errors.no_such_column(type_.name, name)
        found.append(field.name)
    return found
