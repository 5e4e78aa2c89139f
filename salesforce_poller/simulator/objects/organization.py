"""Organization: the org itself, in one row. Clients read it to recognise where they are."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.objects.user import LOCALES, TIME_ZONES
from salesforce_poller.simulator.schema import ObjectType

EDITIONS = (
    *("Team Edition", "Professional Edition", "Enterprise Edition", "Developer Edition"),
    *("Personal Edition", "Unlimited Edition", "Contact Manager Edition", "Base Edition"),
)

ORGANIZATION = ObjectType(
    name="Organization",
    label="Organization",
    label_plural="Organizations",
    key_prefix="00D",
    triggerable=False,
    undeletable=False,
    deletable=False,
    createable=False,
    searchable=False,
    layoutable=False,
    feed_enabled=False,
    fields=of.by_name(
        (
            of.identity("Organization"),
            of.required(of.text("Name", 80, createable=False, name_field=True)),
            of.text("Division", 80, createable=False),
            *of.postal_address(),
            of.phone("Phone"),
            of.phone("Fax"),
            of.text("PrimaryContact", 80),
            of.choice("DefaultLocaleSidKey", LOCALES, label="Locale", default="en_US"),
            of.choice("TimeZoneSidKey", TIME_ZONES, label="Time Zone", default="America/Los_Angeles"),
            of.choice("LanguageLocaleKey", ("en_US", "de", "fr", "ja"), label="Language", default="en_US"),
            of.integer("FiscalYearStartMonth"),
            *of.audit(),
            of.read_only(of.instant("TrialExpirationDate")),
            of.read_only(of.text("NamespacePrefix", 15)),
            of.read_only(of.choice("OrganizationType", EDITIONS, label="Edition")),
            of.read_only(of.text("InstanceName", 5)),
            of.read_only(of.flag("IsSandbox", label="Is Sandbox")),
            of.read_only(of.flag("IsReadOnly", label="Is Read Only")),
        )
    ),
)
