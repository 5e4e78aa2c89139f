"""Invoice__c: a custom object with the field types the standard ones lack, and two formulas.

`Total__c` follows the row's own fields, so it moves with the stamps; `Days_Overdue__c` grows with time and no stamp.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

TAGS = ("Urgent", "Disputed", "Export", "Recurring")
STATUSES = ("Draft", "Sent", "Paid", "Written Off")
INVOICE_NUMBER = of.text("Name", 80, label="Invoice Number", name_field=True, auto_number="INV-{:05d}")


def _total(row: Mapping[str, Any], _now: datetime) -> float | None:
    amount, rate = row.get("Amount__c"), row.get("Tax_Rate__c") or 0
    return None if amount is None else float(round(amount * (1 + rate / 100), 2))


def _days_overdue(row: Mapping[str, Any], now: datetime) -> float | None:
    due = row.get("Due_Date__c")
    if due is None:
        return None
    return 0.0 if row.get("Paid__c") else float(max(0, (now.date() - due).days))


INVOICE = ObjectType(
    name="Invoice__c",
    label="Invoice",
    label_plural="Invoices",
    key_prefix="a00",
    custom=True,
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Record"),
            of.owner("User", "Group"),
            of.is_deleted(),
            of.read_only(of.required(INVOICE_NUMBER)),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            *of.viewed(),
            *of.custom(
                of.lookup("Account__c", "Account", children="Invoices__r"),
                of.money("Amount__c", 2),
                of.percent("Tax_Rate__c", 5, 2),
                of.flag("Paid__c"),
                of.day("Issued_On__c"),
                of.day("Due_Date__c"),
                of.instant("Sent_At__c"),
                of.choice("Status__c", STATUSES, 255, default="Draft", defaulted_on_create=True),
                of.choices("Tags__c", TAGS),
                of.area("Notes__c", 32768),
                of.number("Lines__c", 4),
                of.text("External_Id__c", 64, label="External ID", external_id=True, unique=True),
                of.calculated(of.money("Total__c", 2), _total, "Amount__c * (1 + Tax_Rate__c)"),
                of.calculated(
                    of.number("Days_Overdue__c"), _days_overdue, "IF(Paid__c, 0, MAX(0, TODAY() - Due_Date__c))"
                ),
            ),
        )
    ),
)
