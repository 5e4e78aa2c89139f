"""Order: what a customer ordered."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

ORDER_NUMBER = of.text("OrderNumber", 30, name_field=True, auto_number="{:08d}", defaulted_on_create=True)

ORDER = ObjectType(
    name="Order",
    label="Order",
    label_plural="Orders",
    key_prefix="801",
    fields=of.by_name(
        (
            of.identity("Order"),
            of.owner("User", "Group"),
            of.lookup("AccountId", "Account", children="Orders"),
            of.lookup("OriginalOrderId", "Order", children="Orders", updateable=False),
            of.lookup("OpportunityId", "Opportunity", children="Orders"),
            of.required(of.day("EffectiveDate", label="Order Start Date")),
            of.day("EndDate", label="Order End Date"),
            of.flag("IsReductionOrder", label="Reduction Order", updateable=False),
            of.required(of.choice("Status", ("Draft", "Activated"), 40)),
            of.area("Description"),
            of.lookup("CustomerAuthorizedById", "Contact"),
            of.lookup("CompanyAuthorizedById", "User"),
            of.choice("Type", ("New", "Renewal", "Change"), label="Order Type"),
            *of.postal_address("Billing"),
            *of.postal_address("Shipping"),
            of.text("Name", 80, label="Order Name"),
            of.day("PoDate", label="PO Date"),
            of.text("PoNumber", 80, label="PO Number"),
            of.text("OrderReferenceNumber", 80),
            of.lookup("BillToContactId", "Contact"),
            of.lookup("ShipToContactId", "Contact"),
            of.read_only(of.instant("ActivatedDate")),
            of.read_only(of.lookup("ActivatedById", "User")),
            of.required(
                of.derived(
                    of.choice("StatusCode", ("Draft", "Activated", "Canceled", "Expired"), label="Status Category"),
                    lambda row, _now: "Activated" if row.get("Status") == "Activated" else "Draft",
                )
            ),
            of.required(of.read_only(ORDER_NUMBER)),
            of.required(of.read_only(of.money("TotalAmount", 2, label="Order Amount", default=0))),
            *of.audit(),
            of.is_deleted(),
            *of.viewed(),
        )
    ),
)
