"""What a webhook request says: events in, the headers of content and the body out. Pure.

Called by ``webhook.py``. CloudEvents 1.0 over HTTP has three modes: structured (one event as JSON), batched (an array
of them) and binary (the attributes as headers, the data as the body). ``plain`` is the data alone, ``slack`` a line for
people.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from salesforce_poller.sinks import slack
from salesforce_poller.sinks.base import Dressed

Format = Literal["cloudevents", "plain", "slack"]
Mode = Literal["structured", "binary"]

#: What a header value must not hold as it is (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
_UNSAFE = re.compile(r'[^\x21-\x7e]|["%]')


def shaped(form: Format, mode: Mode, events: Sequence[Dressed], *, batched: bool) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a request with these events: one, unless ``batched``."""
    if form == "slack":
        text = "\n".join(slack.line(each.cloudevent) for each in events)
        return {"Content-Type": "application/json"}, orjson.dumps({"text": text})
    if form == "plain":
        found = [_data(each.cloudevent) for each in events]
        return {"Content-Type": "application/json"}, orjson.dumps(found if batched else found[0])
    if mode == "binary":
        return _binary(events[0].cloudevent)
    if batched:
        body = b"[" + b",".join(each.body for each in events) + b"]"
        return {"Content-Type": "application/cloudevents-batch+json"}, body
    return {"Content-Type": "application/cloudevents+json"}, events[0].body


def _binary(cloudevent: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {
        f"ce-{name}": _header(value) for name, value in cloudevent.items() if name not in ("data", "datacontenttype")
    }
    return headers | {"Content-Type": cloudevent["datacontenttype"]}, orjson.dumps(cloudevent["data"])


def _header(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


def _data(cloudevent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data; that it is a replay stands beside it otherwise, and within it here."""
    data: Mapping[str, Any] = cloudevent["data"]
    return {**data, "replay": True} if cloudevent.get("replay") else data
