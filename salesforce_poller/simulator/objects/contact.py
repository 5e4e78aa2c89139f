"""Contact: a person at an account. Mergeable; goes into the recycle bin with its account."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

CONTACT = ObjectType(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key_prefix="003",
    mergeable=True,
    fields=of.by_name(
        (
            of.identity("Contact"),
            of.is_deleted(),
            of.master_record("Contact"),
            of.lookup("AccountId", "Account", children="Contacts", cascade=True),
            *of.person_name(),
            *of.postal_address("Other"),
            *of.postal_address("Mailing"),
            of.phone("Phone"),
            of.phone("Fax"),
            of.phone("MobilePhone"),
            of.phone("HomePhone"),
            of.phone("OtherPhone"),
            of.phone("AssistantPhone"),
            of.lookup("ReportsToId", "Contact"),
            of.email("Email"),
            of.text("Title", 128),
            of.text("Department", 80),
            of.text("AssistantName", 40),
            of.choice("LeadSource", of.LEAD_SOURCES, 255),
            of.day("Birthdate"),
            of.area("Description"),
            of.owner(),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            of.read_only(of.instant("LastCURequestDate")),
            of.read_only(of.instant("LastCUUpdateDate")),
            *of.viewed(),
            of.text("EmailBouncedReason"),
            of.instant("EmailBouncedDate"),
            of.derived(of.flag("IsEmailBounced"), lambda row, _now: row.get("EmailBouncedDate") is not None),
            of.photo_url(),
            of.text("Jigsaw", 20, label="Data.com Key"),
        )
    ),
)
