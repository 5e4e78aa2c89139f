"""What AWS says of events, and how many of them fit into one call. Pure: codes in, a Receipt out.

Called by ``aws.py`` for its three services. A call that was answered with 200 can hold failures, entry by entry
("SendMessageBatch", "PublishBatch" and "PutEvents" in the API references), so an entry is accepted when it is named as
such, and not before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict

#: Entries in one call of any of the three.
MOST_ENTRIES = 10
#: Codes that speak of the moment, wherever they stand in the code: ThrottlingException, KmsThrottled, …
_PASSING = (
    "internal",
    "limitexceeded",
    "requestexpired",
    "skewed",
    "slowdown",
    "throttl",
    "timeout",
    "toomanyrequests",
    "unavailable",
)
#: Codes that speak of the queue, the key or the permission, and not of the event.
_GENERAL = (
    "accessdenied",
    "authorization",
    "credential",
    "expiredtoken",
    "forbidden",
    "incompletesignature",
    "invalidaccesskey",
    "invalidaddress",
    "invalidclienttoken",
    "invalidsecurity",
    "kms",
    "missingauthenticationtoken",
    "nonexistent",
    "notauthorized",
    "notfound",
    "optinrequired",
    "doesnotexist",
    "platformapplicationdisabled",
    "signature",
    "unrecognizedclient",
    "unsupportedoperation",
)
_SERVER_ERROR = 500
#: Whoever answers so without a code of AWS's own means whoever asks.
_NOT_ALLOWED = (401, 403)
#: Letters that XML 1.0 does not have; SQS replaces them without a word. In JSON they can be written otherwise.
_OUTSIDE = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


def text(body: bytes) -> str:
    """Return an event's JSON with the letters that a message may not hold written as escapes: it is the same JSON.

    Control characters already are, as JSON demands it.
    """
    return body.decode().translate(_OUTSIDE)


def of_code(code: str, message: str, status: int = 0) -> Receipt:
    """Say what an error means, of a whole call or of one entry; ``status`` is the HTTP status, 0 where it has none."""
    plain = code.lower()
    detail = capped(f"{code}: {message}" if message else code)
    if status >= _SERVER_ERROR or any(word in plain for word in _PASSING):
        return Receipt(Verdict.TRY_LATER, detail, reference=code)
    general = status in _NOT_ALLOWED or any(word in plain for word in _GENERAL)
    return Receipt(Verdict.REFUSED, detail, reference=code, general=general)


def by_id(answer: Mapping[str, Any], count: int) -> list[Receipt]:
    """Read what SQS and SNS say of ``count`` entries, whose ids are their places."""
    accepted = {each["Id"]: each["MessageId"] for each in answer.get("Successful", [])}
    failed = {each["Id"]: each for each in answer.get("Failed", [])}
    return [_entry(accepted.get(id_), failed.get(id_)) for id_ in map(str, range(count))]


def by_place(answer: Mapping[str, Any], count: int) -> list[Receipt]:
    """Read what EventBridge says of ``count`` entries, which it does in their order."""
    entries = list(answer.get("Entries", []))
    entries += [{}] * (count - len(entries))
    return [_entry(each.get("EventId"), each if each.get("ErrorCode") else None) for each in entries]


def parcels(sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Put entries of these sizes, by their places, into calls of at most ``limit`` bytes and ten entries.

    What is too large by itself goes alone: AWS decides, since limits have grown before.
    """
    parcel: list[int] = []
    weight = 0
    for place, size in enumerate(sizes):
        if parcel and (len(parcel) == MOST_ENTRIES or weight + size > limit):
            yield parcel
            parcel, weight = [], 0
        parcel.append(place)
        weight += size
    if parcel:
        yield parcel


def _entry(accepted: str | None, failed: Mapping[str, Any] | None) -> Receipt:
    if failed is not None:
        code = failed.get("Code") or failed.get("ErrorCode") or "an error without a code"
        return of_code(code, failed.get("Message") or failed.get("ErrorMessage") or "")
    if accepted is None:
        return Receipt(Verdict.TRY_LATER, "the answer does not name this entry")
    return Receipt(Verdict.ACCEPTED, reference=accepted)
