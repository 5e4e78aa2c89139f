"""Names the permission that is missing, where Salesforce only says no. Pure; ``check.py`` tells.

Object permissions, field-level security and system permissions all come from the integration user's profile and
permission sets (Salesforce Help, *Enable Object Permissions in Permission Sets* and *Field-Level Security*).
"""

from collections.abc import Sequence

from salesforce_poller.errors import PollerError
from salesforce_poller.salesforce import trouble_table

_NO_OBJECT = {"INVALID_TYPE", "NOT_FOUND", "HTTP_404", "INSUFFICIENT_ACCESS", "HTTP_403"}
#: API_DISABLED_FOR_ORG is not among them: its first cause is the edition, which no permission cures.
_SYSTEM_PERMISSIONS = {
    "API_DISABLED_FOR_USER": "API Enabled",
    "TXN_SECURITY": "Exempt from Transaction Security",
    "TXN_SECURITY_METERING_ERROR": "Exempt from Transaction Security",
}


def missing_for(error: PollerError, object_name: str | None = None) -> str:
    """Return the permission that an error asks for, or "" when it is not about permissions."""
    name = error.facts.trouble
    if name in _SYSTEM_PERMISSIONS:
        return system(_SYSTEM_PERMISSIONS[name])
    if object_name is not None and name in _NO_OBJECT:
        return (
            f"Read on {object_name} for the integration user (permission set → Object Settings → {object_name}); "
            "View All there also shows it the records that are not shared with it"
        )
    return ""


def system(permission: str) -> str:
    """Return where a system permission is given."""
    return f'"{permission}" for the integration user (permission set → System Permissions)'


def fields(object_name: str, names: Sequence[str]) -> str:
    """Return the permission that hidden fields ask for, and where Salesforce explains it."""
    return (
        f"Read Access on {', '.join(names)} for the integration user (field-level security: permission set → Object "
        f"Settings → {object_name} → Field Permissions). See {trouble_table.FIELDS}"
    )
