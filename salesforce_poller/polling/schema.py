"""From describe to columns: what a feed selects, what of it is the user's, what may change without a stamp. Pure.

Called by ``poller.py`` at start, on a schedule and whenever Salesforce says INVALID_FIELD. Names from the
configuration are matched against describe here, in any letter case, and leave in Salesforce's own spelling.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from salesforce_poller import fields
from salesforce_poller.errors import Refused
from salesforce_poller.salesforce import troubles
from salesforce_poller.salesforce.describe import FieldInfo, ObjectInfo

#: In this order: Salesforce itself falls back to LastModifiedDate (Get Updated, REST API Developer Guide); objects that
#: never change, such as the history ones, have CreatedDate alone.
STAMP_FIELDS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
#: What we select for ourselves wherever it exists.
BOOKKEEPING = ("Id", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById")
#: Never selected: blobs cost a request each, compound fields repeat their parts.
UNREADABLE_TYPES = frozenset({"base64", "address", "location", "complexvalue"})

#: What describe says of each parent object that a path may lead to; None when this user cannot see it.
Parents = Mapping[str, ObjectInfo | None]


@dataclass(frozen=True, slots=True)
class Schema:
    """How one feed reads its object."""

    object: str
    stamp_field: str
    #: Every column of the query, in the order of ``fields.py``.
    select: tuple[str, ...]
    #: The user's columns, Id first.
    visible: tuple[str, ...]
    #: Visible paths that can change without the record being stamped: formulas, roll-ups, fields of parents.
    derived: frozenset[str]
    #: True when getUpdated and getDeleted answer for this object.
    replicateable: bool
    #: The first three characters of the object's ids; None for objects that have none of their own.
    key_prefix: str | None
    #: Fields the configuration asks for that this user cannot read.
    dropped: tuple[str, ...]
    #: Of every column, the types that describe tells: several where a path leads to objects that do not agree.
    types: Mapping[str, frozenset[str]] = field(default_factory=dict)


def choose(
    info: ObjectInfo, wanted: Sequence[str] | None, parents: Parents, unusable: frozenset[str] = frozenset()
) -> Schema:
    """Choose the columns of a feed.

    ``wanted=None`` means every readable field that is not a blob. ``unusable`` are fields that describe still lists
    but a query has refused. Fields that cannot be read are dropped and named in ``dropped``; the feed goes on.

    Raises:
        Refused: when the object cannot be polled at all.
    """
    stamp_field = _stamp_field(info)
    if wanted is None:
        found = [field.name for field in info.fields.values() if field.type not in UNREADABLE_TYPES]
        dropped: list[str] = []
    else:
        resolved = {path: resolve(path, info, parents) for path in wanted}
        found = [name for name in resolved.values() if name is not None]
        dropped = [path for path, name in resolved.items() if name is None]
    dropped += [name for name in found if name in unusable]
    visible = tuple(dict.fromkeys(["Id", *(name for name in found if name not in unusable)]))
    ours = [name for name in (stamp_field, *BOOKKEEPING) if name in info.fields]
    # Salesforce answers in the order it is asked in, and a row that comes in the order of our texts is read faster.
    select = tuple(sorted({*visible, *ours}, key=fields.place))
    return Schema(
        object=info.name,
        stamp_field=stamp_field,
        select=select,
        visible=visible,
        derived=frozenset(path for path in visible if "." in path or info.fields[path].calculated),
        replicateable=info.replicateable,
        key_prefix=info.key_prefix,
        dropped=tuple(dropped),
        types={path: types_of(path, info, parents) for path in select},
    )


def parents_to_describe(info: ObjectInfo, wanted: Sequence[str] | None, parents: Parents) -> set[str]:
    """Name the parent objects whose description is still missing to judge the paths in ``wanted``."""
    missing: set[str] = set()
    for path in wanted or ():
        here: list[ObjectInfo] = [info]
        for relationship in path.split(".")[:-1]:
            targets = [name for each in here for name in _targets(each, relationship)]
            missing |= {name for name in targets if name not in parents}
            here = [found for name in targets if (found := parents.get(name)) is not None]
    return missing


def resolve(path: str, info: ObjectInfo, parents: Parents) -> str | None:
    """Return a path in Salesforce's own spelling, or None when it leads nowhere this user can read."""
    *relationships, last = path.split(".")
    here, spelled = [info], []
    for relationship in relationships:
        step = next((ref for each in here if (ref := each.parent(relationship))), None)
        if step is None or step.relationship_name is None:
            return None
        spelled.append(step.relationship_name)
        here = [found for name in step.reference_to if (found := parents.get(name)) is not None]
    field = next(_readable(here, last), None)
    return None if field is None else ".".join([*spelled, field.name])


def types_of(path: str, info: ObjectInfo, parents: Parents) -> frozenset[str]:
    """Return the types of the fields that a path may lead to; an owner may be a user or a queue."""
    *relationships, last = path.split(".")
    here = [info]
    for relationship in relationships:
        targets = [name for each in here for name in _targets(each, relationship)]
        here = [found for name in targets if (found := parents.get(name)) is not None]
    return _one_of(frozenset(found.type for found in _readable(here, last)))


@lru_cache(maxsize=1024)
def _one_of(types: frozenset[str]) -> frozenset[str]:
    """Return the one set of these types: every column of every feed has one, and there are few."""
    return types


def _readable(infos: Sequence[ObjectInfo], name: str) -> Iterator[FieldInfo]:
    found = (info.field(name) for info in infos)
    return (field for field in found if field is not None and field.type not in UNREADABLE_TYPES)


def _targets(info: ObjectInfo, relationship: str) -> tuple[str, ...]:
    field = info.parent(relationship)
    return field.reference_to if field else ()


def _stamp_field(info: ObjectInfo) -> str:
    if not info.queryable:
        raise Refused(
            f"{info.name} cannot be queried, so it cannot be polled", facts=troubles.our_facts("NOT_POLLABLE")
        )
    for name in STAMP_FIELDS:
        field = info.fields.get(name)
        if field and field.filterable and field.sortable:
            return name
    told = f"{info.name} has no SystemModstamp, LastModifiedDate or CreatedDate to poll by"
    raise Refused(told, facts=troubles.our_facts("NOT_POLLABLE"))
