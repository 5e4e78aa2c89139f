"""Converting a lead: an account, a contact and perhaps an opportunity are born, all in the lead's second.

Called by `Transaction.convert`. Source: SOAP API Developer Guide, convertLead().
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from salesforce_poller.simulator import rows
from salesforce_poller.simulator.changes import Row
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.workspace import Workspace

CONVERTED_STATUS = "Closed - Converted"
CONTACT_FIELDS = ("FirstName", "LastName", "Email", "Phone", "Title", "OwnerId")
CLOSES_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Conversion:
    """The ids a conversion gave birth to; `opportunity_id` is None when none was asked for."""

    account_id: str
    contact_id: str
    opportunity_id: str | None


def convert(work: Workspace, lead_id: str, opportunity_name: str | None, *, at: datetime) -> Conversion:
    """Convert the lead, which stays, with IsConverted and the new ids; raises CANNOT_UPDATE_CONVERTED_LEAD."""
    type_, lead = work.live(lead_id)
    if type_.name != "Lead" or lead["IsConverted"]:
        raise ApiError(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
    work.lock([lead["Id"]])
    account_id = _born(work, "Account", {"Name": lead["Company"] or lead["LastName"], "OwnerId": lead["OwnerId"]}, at)
    contact = {name: lead[name] for name in CONTACT_FIELDS}
    contact_id = _born(work, "Contact", {**contact, "AccountId": account_id}, at)
    opportunity_id = None
    if opportunity_name is not None:
        opportunity_id = _born(work, "Opportunity", _opportunity(lead, opportunity_name, account_id, at), at)
    result = {
        "IsConverted": True,
        "Status": CONVERTED_STATUS,
        "ConvertedDate": at.date(),
        "ConvertedAccountId": account_id,
        "ConvertedContactId": contact_id,
        "ConvertedOpportunityId": opportunity_id,
    }
    after = rows.saved(type_, {**lead, **result}, at=at, by=work.by)
    work.write("updated", type_, after, at=at, changed=rows.differing(lead, result))
    return Conversion(account_id, contact_id, opportunity_id)


def _opportunity(lead: Row, name: str, account_id: str, at: datetime) -> Mapping[str, Any]:
    return {
        "Name": name,
        "AccountId": account_id,
        "StageName": "Prospecting",
        "CloseDate": (at + CLOSES_AFTER).date(),
        "OwnerId": lead["OwnerId"],
    }


def _born(work: Workspace, object_name: str, values: Mapping[str, Any], at: datetime) -> str:
    storage = work.storage
    type_ = storage.types[object_name]
    record_id, number = storage.next_id(type_)
    row = rows.fresh(storage.blanks[type_.name], values, record_id=record_id, number=number, at=at, by=work.by)
    work.write("created", type_, row, at=at, changed=tuple(values))
    return record_id
