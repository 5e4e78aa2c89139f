"""Get Updated and Get Deleted over HTTP; the rules are in `salesforce_poller.simulator.replication`.

Called through `rest`. Sources: REST API Developer Guide, "sObject Get Updated" and "sObject Get Deleted".
"""

from datetime import datetime

from salesforce_poller.simulator import replication
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.changes import Deletion
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import naming


def get_updated(org: Org, call: Call, name: str) -> Answer:
    """The ids of records created or changed in a span; no order is promised, so none is kept."""
    type_ = _replicateable(org, name)
    found = replication.updated(
        org.scan(type_.name, deleted=False),
        replication.parse("start", call.params.get("start")),
        replication.parse("end", call.params.get("end")),
        now=org.clock.now(),
        oldest_open=org.storage.oldest_open(),
    )
    org.rng.shuffle(found.ids)
    return Answer(body={"ids": found.ids, "latestDateCovered": _text(found.latest_date_covered)})


def get_deleted(org: Org, call: Call, name: str) -> Answer:
    """The records deleted or merged away in a span, hard-deleted ones included."""
    type_ = _replicateable(org, name)
    org.storage.expire()
    found = replication.deleted(
        deletions(org, type_),
        replication.parse("start", call.params.get("start")),
        replication.parse("end", call.params.get("end")),
        now=org.clock.now(),
        oldest_open=org.storage.oldest_open(),
        purged_through=org.storage.log_purged_through,
    )
    records = [{"id": each.record_id, "deletedDate": _text(each.deleted_at)} for each in found.records]
    return Answer(
        body={
            "deletedRecords": records,
            "earliestDateAvailable": _text(found.earliest_date_available),
            "latestDateCovered": _text(found.latest_date_covered),
        }
    )


def deletions(org: Org, type_: ObjectType) -> list[Deletion]:
    """The object's part of the delete log, as far as this user may see it."""
    rows = org.storage.rows[type_.name]
    list_restored = org.undocumented.deleted_lists_undeleted
    return [
        each
        for each in org.storage.deletions
        if each.object == type_.name
        and org.access.sees_record(each.record_id)
        and (list_restored or each.record_id not in rows or rows[each.record_id].get("IsDeleted"))
    ]


def _replicateable(org: Org, name: str) -> ObjectType:
    type_ = naming.named(org, name)
    if not type_.replicateable:
        message = f"entity type {type_.name} does not support replication"
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
    return type_


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
