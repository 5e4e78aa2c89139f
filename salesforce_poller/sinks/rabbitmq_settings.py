"""``type = "rabbitmq"``: the settings of the sink, checked. Read by ``config.py`` and ``rabbitmq.py``."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from salesforce_poller.sinks import templates
from salesforce_poller.sinks.broker import address
from salesforce_poller.sinks.tls import TlsSettings

#: Characters of the name of an exchange, and bytes of a routing key.
LONGEST_NAME, LONGEST_KEY = 127, 255


def _url(value: str) -> str:
    value = address(value, ("amqp", "amqps"), "amqps://rabbitmq.example.com/vhost")
    parts = urlsplit(value)
    if parts.query or parts.fragment:
        raise ValueError("should end with the virtual host; whatever else there is to say has a key of its own")
    return value


def _exchange(value: str) -> str:
    if wrong := re.sub(r"[A-Za-z0-9_.:@#,/+-]|\{\w+\}", "", value):
        raise ValueError(f"holds {wrong[0]!r}; an exchange is named with letters, digits and _ . : @ # , / + -")
    return value


def _routing_key(value: str) -> str:
    if len(value.encode()) > LONGEST_KEY:
        raise ValueError(f"should be no longer than {LONGEST_KEY} bytes")
    return value


class RabbitmqSettings(TlsSettings):
    """``type = "rabbitmq"``."""

    tls_scheme = "amqps"

    type: Literal["rabbitmq"]
    #: amqp or amqps; the path is the virtual host, "/" if there is none.
    url: Annotated[str, AfterValidator(_url)]
    username: Annotated[str, Field(min_length=1)]
    password: SecretStr
    #: The exchange, which must exist.
    exchange: Annotated[templates.Template, AfterValidator(_exchange)] = "salesforce"
    routing_key: Annotated[templates.Template, AfterValidator(_routing_key)] = "{org}.{object}.{kind}"
