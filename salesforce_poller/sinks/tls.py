"""TLS for sinks that speak to a broker: an authority of one's own, a certificate to show. The files are read at start.

Settings of such sinks subclass :class:`TlsSettings`; their libraries take its files, or the context made of them.
"""

import ssl
from pathlib import Path
from typing import Self

from pydantic import model_validator

from salesforce_poller.sinks.broker import BrokerSettings


class TlsSettings(BrokerSettings):
    """What such a ``[sinks.NAME]`` can say about TLS; whether there is any, its address says."""

    #: PEM file with the authorities to believe; None: those of the system.
    ca: Path | None = None
    #: PEM files to log in with, where the broker asks for a certificate.
    client_certificate: Path | None = None
    client_key: Path | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (self.client_certificate is None) is not (self.client_key is None):
            raise ValueError("client_certificate and client_key belong together: set both, or neither")
        self.context()
        return self

    def context(self) -> ssl.SSLContext:
        """Return how to speak TLS.

        Raises:
            ValueError: when a file cannot be used; the text says which and why.
        """
        about = "ca"
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.client_certificate and self.client_key:
                about = "client_certificate and client_key"
                # A key with a passphrase would be asked for on the terminal; an empty one makes it an error.
                context.load_cert_chain(self.client_certificate, self.client_key, password="")
        except ssl.SSLError as exc:
            raise ValueError(f"{about}: no PEM file that can be used ({exc.reason or exc})") from exc
        except OSError as exc:
            raise ValueError(f"{about}: {exc.strerror}") from exc
        return context
