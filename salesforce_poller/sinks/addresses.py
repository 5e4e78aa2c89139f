"""Which addresses a webhook may connect to. Pure.

Clouds hand out the credentials of a machine over HTTP, at addresses that every process on it can reach: those are
refused whatever the configuration says. Beyond them the operator, who writes the file, decides (``networks``). Asked by
``webhook_settings.py`` for addresses that stand in the configuration, and by ``transport.py`` for each address that a
name turned out to have, at the moment of connecting.
"""

import ipaddress
from collections.abc import Sequence
from typing import cast

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Where clouds keep metadata and credentials: link-local on most of them, and the exceptions.
_METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(each)
    for each in (
        "169.254.0.0/16",  # AWS, Azure, Google Cloud, Oracle, DigitalOcean, OpenStack; and container credentials
        "fe80::/10",  # the same in IPv6
        "fd00:ec2::/32",  # AWS, IPv6
        "fd20:ce::254/128",  # Google Cloud, IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.192/32",  # Oracle Cloud, classic
    )
)
#: Networks that carry an IPv4 address in their last 32 bits: NAT64, and the old "compatible" form.
_CARRIERS = tuple(ipaddress.IPv6Network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))

ANY, PUBLIC = "any", "public"


def read(host: str) -> Address | None:
    """Return the address that a host is, in any way of writing it (``2130706433``, ``0x7f.1``); None for a name."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        return _old_style(bare)


def network(text: str) -> str:
    """Return a network as it was written.

    Raises:
        ValueError: it is none; the text says what would be right.
    """
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError('should be "any", "public", or networks such as "10.1.0.0/16"') from None
    return text


def refusal(address: Address, networks: Sequence[str]) -> str:
    """Say why an address is out of bounds; empty when it is not.

    ``networks`` are those that are allowed: ``"any"``, ``"public"``, or CIDR blocks. An IPv6 address that stands for an
    IPv4 address (mapped, NAT64, 6to4) is judged as that one, too.
    """
    meanings = [address, *_carried(address)]
    if any(each in metadata for each in meanings for metadata in _METADATA if each.version == metadata.version):
        return f"{address} is where clouds keep the credentials of machines; events never go there"
    judged = meanings[1:] or meanings
    if all(_allowed(each, networks) for each in judged):
        return ""
    return f"{address} is outside of what networks = {_written(networks)} allows"


def _allowed(address: Address, networks: Sequence[str]) -> bool:
    for each in networks:
        if each == ANY or (each == PUBLIC and address.is_global and not address.is_multicast):
            return True
        if each not in (ANY, PUBLIC) and address in ipaddress.ip_network(each):
            return True
    return False


def _carried(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    found += list(address.teredo or ())
    if any(address in each for each in _CARRIERS) and int(address) > 1:  # :: and ::1 are themselves
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _old_style(host: str) -> Address | None:
    """Read what the C library takes for an IPv4 address: one to four parts, decimal, hexadecimal or octal."""
    parts = host.removesuffix(".").split(".")
    try:
        numbers = [int(part, 16 if part[:2].lower() == "0x" else 8 if part[:1] == "0" else 10) for part in parts]
    except ValueError:
        return None
    *heads, last = numbers
    if len(numbers) > 4 or not all(0 <= each <= 255 for each in heads) or not 0 <= last < 256 ** (5 - len(numbers)):  # noqa: PLR2004  # an IPv4 address has four bytes
        return None
    value = sum(each << (24 - 8 * place) for place, each in enumerate(heads)) + last
    return cast("Address", ipaddress.IPv4Address(value))


def _written(networks: Sequence[str]) -> str:
    return f'"{networks[0]}"' if len(networks) == 1 else "[" + ", ".join(f'"{each}"' for each in networks) + "]"
