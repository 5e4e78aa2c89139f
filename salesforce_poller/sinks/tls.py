"""TLS for sinks that speak to a broker: an authority of one's own, a certificate to show. The files are read at start.

Settings of such sinks subclass :class:`TlsSettings`; their libraries take its files, or the context made of them. What
is wrong with a file, ``pem.py`` says.
"""

import ssl
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from salesforce_poller.sinks import pem
from salesforce_poller.sinks.broker import BrokerSettings


class TlsSettings(BrokerSettings):
    """What such a ``[sinks.NAME]`` can say about TLS; whether there is any, its address says."""

    #: How a ``url`` with TLS begins; empty for sinks that see to it themselves.
    tls_scheme: ClassVar[str] = ""

    #: PEM file with the authorities to trust instead of the system's.
    ca: Path | None = None
    #: PEM file to show to a broker that asks for a certificate.
    client_certificate: Path | None = None
    #: Its key, without a passphrase; None when the certificate's file holds it.
    client_key: Path | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key is nothing without client_certificate")
        self.context()
        safely = str(getattr(self, "url", "")).startswith(f"{self.tls_scheme}:") or not self.tls_scheme
        if (self.ca or self.client_certificate) and not safely:
            raise ValueError(f"ca and client_certificate need an address that begins with {self.tls_scheme}://")
        return self

    def context(self) -> ssl.SSLContext:
        """Return how to speak TLS.

        Raises:
            ValueError: when a file cannot be used; the text says which and why.
        """
        return pem.context(self.ca, self.client_certificate, self.client_key) or ssl.create_default_context()
