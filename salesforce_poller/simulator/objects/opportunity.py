"""Opportunity: a deal. Its stage decides what is closed, won and forecast."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from salesforce_poller.simulator.objects import kinds as of
from salesforce_poller.simulator.schema import ObjectType

STAGES = {
    "Prospecting": "Pipeline",
    "Qualification": "Pipeline",
    "Needs Analysis": "Pipeline",
    "Value Proposition": "Pipeline",
    "Id. Decision Makers": "Pipeline",
    "Perception Analysis": "Pipeline",
    "Proposal/Price Quote": "Pipeline",
    "Negotiation/Review": "BestCase",
    "Closed Won": "Closed",
    "Closed Lost": "Omitted",
}
"""Stage -> forecast category."""
CLOSED = ("Closed Won", "Closed Lost")
TYPES = (
    *("Existing Customer - Upgrade", "Existing Customer - Replacement"),
    *("Existing Customer - Downgrade", "New Customer"),
)


def _forecast_category(row: Mapping[str, Any], _now: datetime) -> str:
    return STAGES.get(row.get("StageName") or "", "Pipeline")


def _expected_revenue(row: Mapping[str, Any], _now: datetime) -> float | None:
    amount, probability = row.get("Amount"), row.get("Probability")
    return None if amount is None or probability is None else float(round(amount * probability / 100, 2))


def _fiscal_quarter(row: Mapping[str, Any], _now: datetime) -> int | None:
    closes = row.get("CloseDate")
    return None if closes is None else int((closes.month + 2) // 3)


def _fiscal_year(row: Mapping[str, Any], _now: datetime) -> int | None:
    closes = row.get("CloseDate")
    return None if closes is None else int(closes.year)


def _fiscal(row: Mapping[str, Any], now: datetime) -> str | None:
    return None if row.get("CloseDate") is None else f"{_fiscal_year(row, now)} {_fiscal_quarter(row, now)}"


OPPORTUNITY = ObjectType(
    name="Opportunity",
    label="Opportunity",
    label_plural="Opportunities",
    key_prefix="006",
    fields=of.by_name(
        (
            of.identity("Opportunity"),
            of.is_deleted(),
            of.lookup("AccountId", "Account", children="Opportunities", cascade=True),
            of.flag("IsPrivate", label="Private"),
            of.required(of.text("Name", 120, name_field=True)),
            of.area("Description"),
            of.required(of.choice("StageName", tuple(STAGES), 255, label="Stage")),
            of.money("Amount", 2),
            of.percent("Probability", label="Probability (%)", defaulted_on_create=True),
            of.derived(of.money("ExpectedRevenue", 2, label="Expected Amount"), _expected_revenue),
            of.number("TotalOpportunityQuantity", 18, 2, label="Quantity"),
            of.required(of.day("CloseDate")),
            of.choice("Type", TYPES, 255, label="Opportunity Type"),
            of.text("NextStep"),
            of.choice("LeadSource", of.LEAD_SOURCES, 255),
            of.derived(of.flag("IsClosed", label="Closed"), lambda row, _now: row.get("StageName") in CLOSED),
            of.derived(of.flag("IsWon", label="Won"), lambda row, _now: row.get("StageName") == "Closed Won"),
            of.required(
                of.derived(
                    of.choice("ForecastCategory", ("Omitted", "Pipeline", "BestCase", "Forecast", "Closed")),
                    _forecast_category,
                )
            ),
            of.lookup("CampaignId", "Campaign", children="Opportunities"),
            of.owner(),
            *of.audit(),
            of.read_only(of.day("LastActivityDate")),
            of.read_only(of.instant("LastStageChangeDate")),
            of.derived(of.integer("FiscalQuarter"), _fiscal_quarter),
            of.derived(of.integer("FiscalYear"), _fiscal_year),
            of.derived(of.text("Fiscal", 6, label="Fiscal Period"), _fiscal),
            *of.viewed(),
        )
    ),
)
