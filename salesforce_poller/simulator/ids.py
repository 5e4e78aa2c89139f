"""Record ids: 15 characters that mean something and 3 that check their case.

Used by the org when a row is born, by SOQL when ids are compared, and by the server when one arrives in a URL.
Source: Salesforce Help, "What are 15 vs 18 character record IDs".
"""

SHORT = 15
LONG = 18
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Base 62 in ASCII order, so that ids compare as the numbers in them do."""

_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_POD = "Sm0"
"""Characters 4 to 6: the instance a record was born on, and one reserved."""


def to18(short: str) -> str:
    """The 18-character form of a 15- or 18-character id; raises ValueError for anything else."""
    if len(short) not in (SHORT, LONG) or not _is_alphanumeric(short):
        raise ValueError(f"not a record id: {short!r}")
    core = short[:SHORT]
    return core + "".join(_checksum(core[start : start + 5]) for start in (0, 5, 10))


def is_id(text: str) -> bool:
    """Whether this is a well-formed id: 15 letters and digits, or 18 of which the last three agree with the others."""
    if not _is_alphanumeric(text):
        return False
    return len(text) == SHORT or (len(text) == LONG and to18(text) == text)


def new_id(prefix: str, number: int) -> str:
    """The 18-character id of the number-th record with this key prefix; ids ascend with the number."""
    digits: list[str] = []
    rest = number
    for _ in range(SHORT - len(prefix) - len(_POD)):
        rest, digit = divmod(rest, len(DIGITS))
        digits.append(DIGITS[digit])
    if rest:
        raise ValueError(f"no id is left for number {number}")
    return to18(prefix + _POD + "".join(reversed(digits)))


def _checksum(five: str) -> str:
    bits = sum(1 << place for place, character in enumerate(five) if "A" <= character <= "Z")
    return _CHECKSUM[bits]


def _is_alphanumeric(text: str) -> bool:
    return text.isascii() and text.isalnum()
