"""sinks/addresses.py: where a webhook may go, in every way of writing an address."""

import ipaddress

import pytest

from salesforce_poller.sinks import addresses

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.43518",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "[fe80::1]",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "100.100.100.200",
    "168.63.129.16",
]
INSIDE = [
    "127.0.0.1",
    "::1",
    "0.0.0.0",  # nothing is bound
    "::",
    "10.1.2.3",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.1.2.3",
    "64:ff9b::a01:203",
    "192.0.2.1",
    "224.0.0.1",
    "ff02::1",
]
OUTSIDE = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "134744072"]


def refusal(host: str, *networks: str) -> str:
    """Return what is said of a host that is an address."""
    address = addresses.read(host)
    assert address is not None, host
    return addresses.refusal(address, networks)


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("networks", [["any"], ["public"], ["169.254.0.0/16", "::/0", "0.0.0.0/0"]])
def test_credentials_of_machines_are_never_asked_for(host: str, networks: list[str]) -> None:
    """However the address is written, and whatever is allowed."""
    assert "where clouds keep the credentials" in refusal(host, *networks)


@pytest.mark.parametrize("host", INSIDE)
def test_what_is_inside_is_allowed_unless_the_configuration_says_otherwise(host: str) -> None:
    """``"public"`` lets none of it through; the address and the key are named."""
    assert refusal(host, "any") == ""
    assert refusal(host, "public").endswith('is outside of what networks = "public" allows')


@pytest.mark.parametrize("host", OUTSIDE)
def test_what_is_outside_is_public(host: str) -> None:
    """Also through NAT64, without which an IPv6-only machine could not deliver."""
    assert refusal(host, "public") == refusal(host, "any") == ""


def test_networks_can_be_named() -> None:
    """Alone, or beside what is public; an IPv6 address that stands for an IPv4 one is judged as that."""
    assert refusal("10.1.2.3", "10.1.0.0/16") == ""
    assert refusal("::ffff:10.1.2.3", "10.1.0.0/16") == ""
    assert refusal("10.2.2.3", "10.1.0.0/16", "public").endswith('networks = ["10.1.0.0/16", "public"] allows')
    assert refusal("8.8.8.8", "10.1.0.0/16") != ""
    assert refusal("8.8.8.8", "10.1.0.0/16", "public") == ""
    assert refusal("fd12::7", "fd12::/64") == ""


@pytest.mark.parametrize("host", ["example.com", "1.2.3.4.5", "256.1.1.1", "08.1.1.1", "0x", "a.b", "", "1.2.3.256"])
def test_a_name_is_no_address(host: str) -> None:
    """What the C library would not take for one either."""
    assert addresses.read(host) is None


@pytest.mark.parametrize(
    ("host", "address"), [("127.1", "127.0.0.1"), ("0x7f.1", "127.0.0.1"), ("0", "0.0.0.0"), ("1.2.772", "1.2.3.4")]
)
def test_old_ways_of_writing_are_read_as_the_c_library_does(host: str, address: str) -> None:
    """The last part fills what is left."""
    assert addresses.read(host) == ipaddress.ip_address(address)


def test_what_is_no_network_is_refused() -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match='should be "any", "public", or networks such as'):
        addresses.network("10.1.2.3/8")
