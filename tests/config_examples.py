"""A good configuration, and what is said about bad ones. Name only what the test is about."""

from collections.abc import Mapping

import pytest

from salesforce_poller import config
from salesforce_poller.config import Config
from salesforce_poller.errors import ConfigError

SECRET = "s3cr3t-and-never-shown"  # pretend
GOOD = f"""\
[orgs.acme]
login_url = "https://acme.my.salesforce.com"
client_id = "3MVG9"
client_secret = "{SECRET}"

[orgs.acme.objects.Lead]
every = "30s"

[orgs.acme.objects.Invoice__c]

[sinks.log]
type = "stdout"
"""


def parsed(more: str = "", environ: Mapping[str, str] | None = None, good: str = GOOD) -> Config:
    """Return the configuration of the good example and some more."""
    return config.parse(f"{good}\n{more}", environ or {})


def problems(more: str = "", environ: Mapping[str, str] | None = None, good: str = GOOD) -> list[str]:
    """Return what is wrong with the good example and some more; the secret is in none of it."""
    with pytest.raises(ConfigError) as caught:
        parsed(more, environ, good)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def replaced(old: str, new: str) -> str:
    """Return the good example with one thing replaced."""
    assert old in GOOD
    return GOOD.replace(old, new)
