"""Certificates and keys from files into a TLS context; what is wrong with them as one line each.

Called by ``webhook_settings.py``, which has every file tried when the configuration is read, and by ``transport.py``.
"""

import ssl
from pathlib import Path


def context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return a context that trusts ``ca`` alone, if given, and shows ``certificate``; None when nothing is given.

    ``key`` is the certificate's private key; None when the certificate's file holds it as well.

    Raises:
        ValueError: a file cannot be read or used; one line that says which and why.
    """
    if ca is None and certificate is None:
        return None
    found = _trusting(ca)
    if certificate is not None:
        _show(found, certificate, key)
    return found


def readable(path: Path) -> Path:
    """Return the path of a PEM file.

    Raises:
        ValueError: it cannot be read, or holds no PEM.
    """
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise ValueError(f"cannot read {path}: {exc.strerror}") from None
    if b"-----BEGIN " not in text:
        raise ValueError(f"{path} holds no PEM (a text that begins with -----BEGIN)")
    return path


def _trusting(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else readable(ca))
    except ssl.SSLError:
        raise ValueError(f"{ca} holds no certificates of authorities that can be used") from None


def _show(found: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    for path in (certificate, key or certificate):
        if b"ENCRYPTED" in readable(path).read_bytes():
            raise ValueError(f"the key in {path} has a passphrase; give it without one")
    try:
        found.load_cert_chain(certificate, key)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"the key in {key or certificate} does not belong to the certificate") from None
        raise ValueError(f"{certificate} and {key or 'its key'} cannot be used: {exc.reason or exc}") from None
