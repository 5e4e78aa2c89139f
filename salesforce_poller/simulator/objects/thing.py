"""Thing001__c, Thing002__c …: custom objects by the dozen, for whoever watches more objects than an org comes with."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

MOST = 999


def thing(number: int) -> ObjectType:
    """The object of this number, from 1 to `MOST`."""
    return ObjectType(
        name=f"Thing{number:03}__c",
        label=f"Thing {number}",
        label_plural=f"Things {number}",
        key_prefix=f"a{_DIGITS[number // 62 + 1]}{_DIGITS[number % 62]}",
        custom=True,
        feed_enabled=False,
        fields=of.by_name(
            (
                of.identity("Record"),
                of.owner("User", "Group"),
                of.is_deleted(),
                of.required(of.text("Name", 80, name_field=True)),
                *of.audit(),
                *of.viewed(),
                *of.custom(of.number("Size__c", 9), of.text("Colour__c", 40)),
            )
        ),
    )


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
