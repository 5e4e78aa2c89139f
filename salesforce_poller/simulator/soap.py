"""The SOAP API, as far as clients need it to log in: the `login` call of the partner and enterprise APIs.

Called through `oauth.endpoints`; simple-salesforce and jsforce log in with a username and a password this way. Source:
SOAP API Developer Guide, "login()", "LoginResult" and "API Fault Element". A fault is always HTTP 500.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from salesforce_poller.simulator import ids, releases
from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request

PATH = r"/services/Soap/(?P<api>[uc])/(?P<version>\d+\.\d)(?:/\w+)?"
XML_TYPE = "text/xml;charset=UTF-8"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
NAMESPACES = {"u": "partner.soap.sforce.com", "c": "enterprise.soap.sforce.com"}
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
CLIENT = "SOAP"
"""What a session is called that no connected app has opened."""

INVALID = "Invalid username, password, security token; or user locked out."
NEW_PLACE = (
    f"{INVALID} Are you at a new location? When accessing Salesforce--either via a desktop client or the API--from "
    "outside of your company's trusted networks, you must add a security token to your password to log in."
)


class SoapFault(Exception):
    """A refusal: an ExceptionCode such as INVALID_LOGIN, or the protocol's own "Client"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def answer(org: Org, request: Request) -> Answer:
    """A loginResponse, or a Fault."""
    found = re.fullmatch(PATH, request.path)
    assert found  # the table of endpoints has matched it
    namespace = NAMESPACES[found["api"]]
    try:
        _check_version(found["version"])
        form = _login(request.body, namespace)
        result = _result(org, request, form, found)
    except SoapFault as fault:
        return Answer(500, _fault(fault, namespace), media_type=XML_TYPE)
    return Answer(body=_response(result, namespace), media_type=XML_TYPE)


def _check_version(version: str) -> None:
    try:
        releases.check(version)
    except ApiError as error:
        raise SoapFault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL") from error


def _login(body: bytes, namespace: str) -> dict[str, str]:
    """The arguments of the login call; raises a fault for every other call, and for what is no SOAP."""
    if b"\0" in body:  # a document type in UTF-16 must not slip through
        raise SoapFault("Client", "The request must be UTF-8")
    if b"<!DOCTYPE" in body:
        raise SoapFault("Client", "DOCTYPE is not allowed")
    try:
        envelope = ET.fromstring(body)  # noqa: S314  # without a document type there are no entities to abuse
    except ET.ParseError as error:
        raise SoapFault("Client", f"The request is not well-formed XML: {error}") from error
    calls = envelope.find(f"{{{ENVELOPE}}}Body")
    if calls is None or len(calls) != 1:
        raise SoapFault("Client", "The SOAP body must have exactly one call")
    call = calls[0]
    if call.tag != f"{{urn:{namespace}}}login":
        raise SoapFault("Client", f"No operation available for request {call.tag}")
    return {each.tag.rpartition("}")[2]: each.text or "" for each in call}


def _result(org: Org, request: Request, form: Mapping[str, str], found: re.Match[str]) -> dict[str, Any]:
    """Log in, and tell about it; raises INVALID_LOGIN or LOGIN_MUST_USE_SECURITY_TOKEN."""
    app, password = org.app, form.get("password", "")
    right_name = form.get("username", "").lower() == app.username.lower()
    if right_name and password == app.password and not app.trusted_network:
        raise SoapFault("LOGIN_MUST_USE_SECURITY_TOKEN", NEW_PLACE)
    user = org.storage.rows["User"][org.integration_user]
    if not right_name or not app.accepts_password(password) or not user["IsActive"]:
        raise SoapFault("INVALID_LOGIN", INVALID)
    if not org.login_rate.admit(user["Id"], org.clock.now()):
        raise SoapFault("REQUEST_LIMIT_EXCEEDED", "login rate exceeded")
    session = org.sessions.issue(user["Id"], CLIENT, "full", org.clock.now())
    base, short_id = org.instance.address(request), org.organization_id[:15]
    return {
        "metadataServerUrl": f"{base}/services/Soap/m/{found['version']}/{short_id}",
        "passwordExpired": "false",
        "sandbox": "true" if org.is_sandbox else "false",
        "serverUrl": f"{base}/services/Soap/{found['api']}/{found['version']}/{short_id}",
        "sessionId": session.token,
        "userId": user["Id"],
        "userInfo": _user_info(org, user),
    }


def _user_info(org: Org, user: Mapping[str, Any]) -> dict[str, Any]:
    """GetUserInfoResult; None becomes xsi:nil."""
    (organization,) = org.storage.rows["Organization"].values()
    return {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "$",
        "orgAttachmentFileSizeLimit": "26214400",
        "orgDefaultCurrencyIsoCode": "USD",
        "orgDefaultCurrencyLocale": "en_US",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": "false",
        "organizationId": org.organization_id,
        "organizationMultiCurrency": "false",
        "organizationName": organization["Name"],
        "profileId": ids.new_id("00e", 1),
        "roleId": None,
        "sessionSecondsValid": str(int(org.sessions.idle.total_seconds())),
        "userDefaultCurrencyIsoCode": None,
        "userEmail": user["Email"],
        "userFullName": f"{user['FirstName']} {user['LastName']}",
        "userId": user["Id"],
        "userLanguage": user["LanguageLocaleKey"],
        "userLocale": user["LocaleSidKey"],
        "userName": user["Username"],
        "userTimeZone": user["TimeZoneSidKey"],
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }


def _response(result: Mapping[str, Any], namespace: str) -> str:
    return (
        f'{HEAD}<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns="urn:{namespace}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse><result>'
        f"{_elements(result)}</result></loginResponse></soapenv:Body></soapenv:Envelope>"
    )


def _elements(values: Mapping[str, Any]) -> str:
    texts = []
    for name, value in values.items():
        if value is None:
            texts.append(f'<{name} xsi:nil="true"/>')
        else:
            inner = _elements(value) if isinstance(value, Mapping) else escape(str(value))
            texts.append(f"<{name}>{inner}</{name}>")
    return "".join(texts)


def _fault(fault: SoapFault, namespace: str) -> str:
    """A LoginFault for an ExceptionCode; the protocol's own faults have no detail."""
    message = escape(fault.message)
    if fault.code == "Client":
        inner = f"<faultcode>soapenv:Client</faultcode><faultstring>{message}</faultstring>"
    else:
        inner = (
            f"<faultcode>sf:{fault.code}</faultcode><faultstring>{fault.code}: {message}</faultstring><detail>"
            f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{fault.code}</sf:exceptionCode>'
            f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault></detail>"
        )
    return (
        f'{HEAD}<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sf="urn:fault.{namespace}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
        f"{inner}</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
