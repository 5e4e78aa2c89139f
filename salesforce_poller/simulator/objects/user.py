"""User: somebody who can log in. Never deleted, only deactivated, so it has no IsDeleted."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

TIME_ZONES = ("America/Los_Angeles", "America/New_York", "Europe/London", "Europe/Paris", "Asia/Tokyo", "GMT")
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "ja_JP")
USER_TYPES = ("Standard", "PowerPartner", "CSPLitePortal", "CustomerSuccess", "PowerCustomerSuccess", "CsnOnly")

USER = ObjectType(
    name="User",
    label="User",
    label_plural="Users",
    key_prefix="005",
    undeletable=False,
    deletable=False,
    fields=of.by_name(
        (
            of.identity("User"),
            of.required(of.text("Username", 80, unique=True)),
            *of.person_name(salutation=False),
            of.text("CompanyName", 80),
            of.text("Division", 80),
            of.text("Department", 80),
            of.text("Title", 80),
            *of.postal_address(),
            of.required(of.email("Email")),
            of.phone("Phone"),
            of.phone("Fax"),
            of.phone("MobilePhone"),
            of.required(of.text("Alias", 8)),
            of.required(of.text("CommunityNickname", 40, label="Nickname", defaulted_on_create=True)),
            of.flag("IsActive", label="Active", default=True),
            of.required(of.choice("TimeZoneSidKey", TIME_ZONES, label="Time Zone")),
            of.required(of.choice("LocaleSidKey", LOCALES, label="Locale")),
            of.required(of.choice("EmailEncodingKey", ("UTF-8", "ISO-8859-1"), label="Email Encoding")),
            of.read_only(of.choice("UserType", USER_TYPES, default="Standard", defaulted_on_create=True)),
            of.required(of.choice("LanguageLocaleKey", ("en_US", "de", "fr", "ja"), label="Language")),
            of.text("EmployeeNumber", 20),
            of.lookup("ManagerId", "User", children="ManagedUsers"),
            of.read_only(of.instant("LastLoginDate", label="Last Login")),
            *of.audit(),
            of.text("FederationIdentifier", 512, label="SAML Federation ID", unique=True),
            of.area("AboutMe", 1000),
            *of.viewed(),
        )
    ),
)
