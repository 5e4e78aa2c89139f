"""sinks/tls.py: what is said about TLS to a sink that would not speak it."""

from typing import Any

import pytest
from certificates import Certificates
from pydantic import ValidationError

from salesforce_poller.sinks import catalogue

_LOGIN = {"username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("plain", "safe", "more"),
    [
        ("redis://localhost", "rediss://localhost", {"type": "redis"}),
        ("unix:///run/redis", "rediss://localhost", {"type": "redis"}),
        ("mqtt://localhost", "mqtts://localhost", {"type": "mqtt"}),
        ("amqp://localhost", "amqps://localhost", {"type": "rabbitmq", **_LOGIN}),
    ],
)
@pytest.mark.parametrize("name", ["ca", "client_certificate"])
def test_a_certificate_for_a_line_without_tls_is_a_mistake(
    some_certificates: Certificates, plain: str, safe: str, more: dict[str, Any], name: str
) -> None:
    """Whoever names one thinks that the line is safe; passwords and records would go over it for all to read."""
    kind = catalogue.KINDS[more["type"]]
    file = {"ca": {"ca": some_certificates.ca}}.get(
        name, {"client_certificate": some_certificates.client, "client_key": some_certificates.client_key}
    )
    kind.settings.model_validate({**more, **file, "url": safe})
    scheme = safe.partition(":")[0]
    with pytest.raises(ValidationError, match=f"need an address that begins with {scheme}://"):
        kind.settings.model_validate({**more, **file, "url": plain})
