"""Task: something to do, about a person (Who) and a thing (What); both lookups are polymorphic."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

STATUSES = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")
SUBJECTS = ("Call", "Send Letter", "Send Quote", "Other")
THINGS = ("Account", "Campaign", "Case", "Invoice__c", "Opportunity", "Order", "Product2")

TASK = ObjectType(
    name="Task",
    label="Task",
    label_plural="Tasks",
    key_prefix="00T",
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Activity"),
            of.lookup("WhoId", "Contact", "Lead", label="Name ID", children="Tasks", cascade=True),
            of.lookup("WhatId", *THINGS, label="Related To ID", children="Tasks", cascade=True),
            of.combobox("Subject", SUBJECTS, name_field=True),
            of.day("ActivityDate", label="Due Date Only"),
            of.required(of.choice("Status", STATUSES, 255, default=STATUSES[0], defaulted_on_create=True)),
            of.required(
                of.choice("Priority", ("High", "Normal", "Low"), 255, default="Normal", defaulted_on_create=True)
            ),
            of.derived(
                of.flag("IsHighPriority", label="High Priority"), lambda row, _now: row.get("Priority") == "High"
            ),
            of.owner("User", "Group"),
            of.area("Description"),
            of.is_deleted(),
            of.derived(of.flag("IsClosed", label="Closed"), lambda row, _now: row.get("Status") == "Completed"),
            *of.audit(),
            of.read_only(of.flag("IsArchived", label="Archived")),
            of.integer("CallDurationInSeconds"),
            of.choice("CallType", ("Internal", "Inbound", "Outbound")),
            of.text("CallDisposition", label="Call Result"),
            of.instant("ReminderDateTime"),
            of.flag("IsReminderSet", label="Reminder Set"),
            of.choice("TaskSubtype", ("Task", "Email", "Call"), default="Task", updateable=False),
            of.read_only(of.instant("CompletedDateTime")),
        )
    ),
)
