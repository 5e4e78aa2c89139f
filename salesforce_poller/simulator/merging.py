"""Merging duplicates: losers go into the recycle bin with MasterRecordId, the winner takes over their children.

Called by `Transaction.merge`. Source: SOAP API Developer Guide, merge(): at most three records of one mergeable
object; the winner keeps its own values.
"""

from collections.abc import Sequence
from datetime import datetime

from salesforce_poller.simulator import rows
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.changes import Row
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.workspace import Workspace

MOST_LOSERS = 2


def merge(work: Workspace, winner_id: str, loser_ids: Sequence[str], *, at: datetime, stamp_children: bool) -> None:
    """Merge the losers into the winner; children with `stamp_children` get a new SystemModstamp.

    A loser that won an earlier merge keeps its own losers pointing at it: chains are followed by the reader.
    Raises INVALID_OPERATION for more than three records, other objects or a record merged into itself.
    """
    type_, winner = work.live(winner_id)
    losers = [work.live(loser_id)[1] for loser_id in loser_ids]
    _check(type_, winner, losers)
    children = [found for loser in losers for found in work.children(type_, loser["Id"])]
    work.lock(row["Id"] for row in [winner, *losers, *(child for _, _, child in children)])

    for loser in losers:
        after = rows.touched(type_, {**loser, "IsDeleted": True, "MasterRecordId": winner["Id"]}, at=at)
        work.write("merged", type_, after, at=at, merged_into=winner["Id"])
    work.write("updated", type_, rows.saved(type_, winner, at=at, by=work.by), at=at)

    lost = {loser["Id"] for loser in losers}
    for child, child_type, row in children:
        if row["Id"] in lost or not child_type.fields[child.field].updateable:
            continue
        _, current = work.find(row["Id"])  # a child may be here twice, through two of its fields
        parent_id = None if row["Id"] == winner["Id"] else winner["Id"]
        after = {**current, child.field: parent_id}
        stamped = rows.touched(child_type, after, at=at) if stamp_children else after
        work.write("updated", child_type, stamped, at=at, changed=(child.field,))


def _check(type_: ObjectType, winner: Row, losers: Sequence[Row]) -> None:
    ids = {row["Id"] for row in [winner, *losers]}
    same_object = all(record_id[:3] == type_.key_prefix for record_id in ids)
    if not type_.mergeable or not same_object or not 1 <= len(losers) <= MOST_LOSERS or len(ids) != len(losers) + 1:
        raise ApiError(400, "INVALID_OPERATION", f"cannot merge these records of {type_.name}", ())
