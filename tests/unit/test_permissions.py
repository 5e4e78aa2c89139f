"""salesforce/permissions.py: which permission an error asks for."""

import orjson
import pytest

from salesforce_poller.salesforce import permissions, troubles


def asked_for(status: int, code: str, message: str = "", object_name: str | None = "Lead") -> str:
    """Return the permission that an answer asks for."""
    body = orjson.dumps([{"errorCode": code, "message": message}])
    return permissions.missing_for(troubles.rest_error(status, {}, body), object_name)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "INVALID_TYPE"), (404, "NOT_FOUND"), (403, "INSUFFICIENT_ACCESS_OR_READONLY"), (403, ""), (404, "")],
)
def test_an_object_that_is_not_there_may_be_one_without_read(status: int, code: str) -> None:
    """Salesforce does not tell the two apart; where the permission is given is said as well."""
    assert asked_for(status, code).startswith(
        "Read on Lead for the integration user (permission set → Object Settings → Lead)"
    )
    assert asked_for(status, code, object_name=None) == ""


@pytest.mark.parametrize(
    ("code", "message", "permission"),
    [
        ("API_CURRENTLY_DISABLED", "API is disabled for this User", "API Enabled"),
        ("TXN_SECURITY_METERING_ERROR", "", "Exempt from Transaction Security"),
        ("TXN_SECURITY_NO_ACCESS", "", "Exempt from Transaction Security"),
    ],
)
def test_system_permissions_are_called_by_their_name(code: str, message: str, permission: str) -> None:
    """As Setup shows them."""
    assert asked_for(403, code, message) == permissions.system(permission)
    assert f'"{permission}"' in permissions.system(permission)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, ""), (403, "REQUEST_LIMIT_EXCEEDED"), (400, "MALFORMED_QUERY"), (403, "API_DISABLED_FOR_ORG")],
)
def test_what_no_permission_cures_asks_for_none(status: int, code: str) -> None:
    """Nobody is sent to Setup in vain."""
    assert asked_for(status, code) == ""
