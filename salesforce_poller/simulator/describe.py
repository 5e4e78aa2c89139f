"""What the org says about its objects: describe global and describe object, with every key the real answers have.

Called by the server's describe routes. Pure: the catalogue in, JSON out.
Source: REST API Developer Guide, "Describe Global", "sObject Describe"; SOAP API Developer Guide,
"DescribeSObjectResult".
"""

from collections.abc import Iterable
from typing import Any

from salesforce_poller.simulator.describe_field import describe_field
from salesforce_poller.simulator.schema import Child, ObjectType

MASTER_RECORD_TYPE = "012000000000000AAA"
INSTANCE_URL = "https://simulated.my.salesforce.com"
"""Where the user interface would be; only the ui… URLs of describe are absolute."""

_SCOPES = {
    "everything": "All",
    "mine": "My",
    "queue_owned": "Queue owned",
    "team": "My team's",
    "user_owned": "User owned",
}
_QUEUE_SCOPES = ("queue_owned", "user_owned")


def describe_global(types: Iterable[ObjectType], *, version: str) -> dict[str, Any]:
    """The answer of GET /sobjects: the objects the user can see, 28 keys each."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [_summary(each) | {"urls": _urls(each, version)} for each in types],
    }


def describe_object(
    type_: ObjectType, *, version: str, hidden: frozenset[str] = frozenset(), instance_url: str = INSTANCE_URL
) -> dict[str, Any]:
    """The answer of GET /sobjects/X/describe; the hidden fields are not there at all."""
    visible = [field for field in type_.fields.values() if field.name not in hidden]
    described = _summary(type_) | {
        "actionOverrides": [],
        "childRelationships": [_child(each) for each in type_.children],
        "compactLayoutable": type_.layoutable,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [describe_field(type_, field) for field in visible],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_record_type(type_, version)],
        "searchLayoutable": type_.searchable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": _scopes(type_),
    }
    return dict(sorted(described.items())) | {"urls": _urls(type_, version) | _ui_urls(type_, instance_url)}


def _summary(type_: ObjectType) -> dict[str, Any]:
    """What both answers say about an object, its URLs left out."""
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": type_.createable,
        "custom": type_.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": type_.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": type_.feed_enabled,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": type_.key_prefix,
        "label": type_.label,
        "labelPlural": type_.label_plural,
        "layoutable": type_.layoutable,
        "mergeable": type_.mergeable,
        "mruEnabled": type_.layoutable,
        "name": type_.name,
        "queryable": type_.queryable,
        "replicateable": type_.replicateable,
        "retrieveable": type_.retrieveable,
        "searchable": type_.searchable,
        "triggerable": type_.triggerable,
        "undeletable": type_.undeletable,
        "updateable": type_.updateable,
    }


def _urls(type_: ObjectType, version: str) -> dict[str, str]:
    base = f"/services/data/v{version}/sobjects/{type_.name}"
    urls = {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"}
    if type_.layoutable:
        urls |= {
            "compactLayouts": f"{base}/describe/compactLayouts",
            "approvalLayouts": f"{base}/describe/approvalLayouts",
            "listviews": f"{base}/listviews",
            "quickActions": f"{base}/quickActions",
            "layouts": f"{base}/describe/layouts",
        }
    return urls


def _ui_urls(type_: ObjectType, instance_url: str) -> dict[str, str]:
    if not type_.layoutable:
        return {}
    return {
        "uiDetailTemplate": f"{instance_url}/{{ID}}",
        "uiEditTemplate": f"{instance_url}/{{ID}}/e",
        "uiNewRecord": f"{instance_url}/{type_.key_prefix}/e",
    }


def _child(child: Child) -> dict[str, Any]:
    return {
        "cascadeDelete": child.cascade_delete,
        "childSObject": child.child_sobject,
        "deprecatedAndHidden": False,
        "field": child.field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": child.relationship_name,
        "restrictedDelete": False,
    }


def _master_record_type(type_: ObjectType, version: str) -> dict[str, Any]:
    layout = f"/services/data/v{version}/sobjects/{type_.name}/describe/layouts/{MASTER_RECORD_TYPE}"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": MASTER_RECORD_TYPE,
        "urls": {"layout": layout},
    }


def _scopes(type_: ObjectType) -> list[dict[str, str]]:
    """What USING SCOPE may say; what nobody owns has only everything."""
    owner = type_.field("OwnerId")
    names = ["everything"] if owner is None else list(_SCOPES)
    if owner is not None and not owner.polymorphic:
        names = [name for name in names if name not in _QUEUE_SCOPES]
    return [{"label": f"{_SCOPES[name]} {type_.label_plural.lower()}", "name": name} for name in names]
