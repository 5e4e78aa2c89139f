"""Product2: something that can be sold. It has no owner."""

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

PRODUCT2 = ObjectType(
    name="Product2",
    label="Product",
    label_plural="Products",
    key_prefix="01t",
    fields=of.by_name(
        (
            of.identity("Product"),
            of.required(of.text("Name", label="Product Name", name_field=True)),
            of.text("ProductCode"),
            of.area("Description", 4000, label="Product Description"),
            of.flag("IsActive", label="Active"),
            *of.audit(),
            of.choice("Family", ("None", "Hardware", "Software", "Services"), 255, label="Product Family"),
            of.text("ExternalId", label="External ID"),
            of.url("DisplayUrl"),
            of.choice("QuantityUnitOfMeasure", ("Each",), 255),
            of.is_deleted(),
            of.read_only(of.flag("IsArchived", label="Archived")),
            *of.viewed(),
            of.text("StockKeepingUnit", 180, label="Product SKU"),
        )
    ),
)
