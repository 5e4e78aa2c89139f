"""The API versions of the simulated org: 31.0 (Summer '14) to 68.0 (Winter '27).

Listed without a login at /services/data; every path names one of them. Source: REST API Developer Guide, Versions, and
"API End-of-Life" for those that are retired.
"""

from salesforce_poller.simulator import errors
from salesforce_poller.simulator.errors import ApiError

FIRST = 31
LAST = 68
SEASONS = ("Summer", "Winter", "Spring")
TYPOGRAPHIC = 42
"""The one version whose label Salesforce writes with a typographic apostrophe: labels are not for parsing."""
SUMMER_14 = (FIRST, 14)


def listing() -> list[dict[str, str]]:
    """The answer of /services/data."""
    return [
        {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(FIRST, LAST + 1)
    ]


def check(version: str) -> None:
    """Raise GONE for a version that is retired, NOT_FOUND for one that does not exist."""
    whole, _, fraction = version.partition(".")
    number = int(whole)
    if number > LAST or fraction != "0":
        raise errors.not_found()
    if number < FIRST:
        raise ApiError(410, "UNSUPPORTED_API_VERSION", f"The requested API version has been retired: {version}")


def _label(number: int) -> str:
    season = SEASONS[(number - FIRST) % 3]
    year = SUMMER_14[1] + (number - FIRST + 2) // 3  # a release year begins with Winter
    apostrophe = "\N{RIGHT SINGLE QUOTATION MARK}" if number == TYPOGRAPHIC else "'"
    return f"{season} {apostrophe}{year}"
