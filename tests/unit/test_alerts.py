"""delivery/alerts.py: what other sinks are told of a sink in trouble."""

from datetime import timedelta

from builders import NOON, a_delivery

from salesforce_poller.delivery import alerts, envelope
from salesforce_poller.model import Delivery, Event, Kind, Parked

WHY = "switched off: it asks for no more events (HTTP 410)"
HOUR = timedelta(hours=1)


def dead(**delivery: object) -> Parked:
    """Return a delivery that was just given up."""
    tried = a_delivery(attempts=10, first_tried_at=NOON - timedelta(days=3), **delivery)
    return Parked(tried, NOON, "HTTP 400", dead=True)


def gave_up(*parked: Parked, sink: str = "crm", hours: int = 0) -> Event | None:
    """Return the alert of a round that was closed at noon, or so many hours later."""
    return alerts.gave_up(sink, parked, NOON + hours * HOUR)


def test_an_alert_is_a_cloudevent_about_the_sink() -> None:
    """It comes from us and not from an org; what would be of a record is null."""
    alert = alerts.switched_off("crm", WHY, NOON - 120 * HOUR, NOON)
    dressed = envelope.cloudevent(Delivery("log", 7, alert))
    assert dressed == {
        "specversion": "1.0",
        "id": alert.id,
        "source": "urn:salesforce-poller:sink:crm",
        "type": "salesforce-poller.alert",
        "subject": "sink/crm",
        "time": "2026-11-21T12:00:00Z",
        "datacontenttype": "application/json",
        "partitionkey": "urn:salesforce-poller:sink:crm",
        "sequence": "00000000000000000007",
        "data": {
            "org": None,
            "object": None,
            "kind": "alert",
            "record_id": None,
            "record": None,
            "changed": None,
            "previous": None,
            "merged_into": None,
            "changed_by": None,
            "observed_at": "2026-11-21T12:00:00.000Z",
            "alert": {"sink": "crm", "what": "switched_off", "since": "2026-11-16T12:00:00Z", "detail": WHY},
        },
    }


def test_being_switched_off_again_for_the_same_failures_is_the_same_alert() -> None:
    """A restart tries the sink once; nobody wants to be told of that each time."""
    first = alerts.switched_off("crm", WHY, NOON, NOON)
    assert alerts.switched_off("crm", "another reason", NOON, NOON + HOUR).id == first.id
    assert alerts.switched_off("crm", WHY, NOON + HOUR, NOON + HOUR).id != first.id
    assert alerts.switched_off("log", WHY, NOON, NOON).id != first.id


def test_giving_up_is_told_with_the_first_event_and_where_the_others_are() -> None:
    """What it was about, how often it was tried, what the sink said."""
    alert = gave_up(Parked(a_delivery(), NOON), dead(record_id="00Q1"), dead(record_id="00Q2"))
    assert alert is not None
    assert alert.alert is not None
    assert (alert.kind, alert.alert.sink, alert.alert.what) == (Kind.ALERT, "crm", "gave_up")
    assert alert.alert.since == NOON - timedelta(days=3)
    assert alert.alert.detail == (
        "gave up the event b1946ac92492d2347c6235b4d2611184 (Lead/00Q1 updated) after 10 tries: HTTP 400; "
        "there may be more today, see `salesforce-poller dead list`"
    )


def test_giving_up_is_told_once_a_day() -> None:
    """Thousands of bad events are one alert; the next day's are another one."""
    ids = [alert.id for hours in (0, 1, 11, 12, 24) if (alert := gave_up(dead(), hours=hours))]
    assert ids[0] == ids[1] == ids[2] != ids[3] == ids[4]
    other = gave_up(dead(), sink="log")
    assert other is not None
    assert other.id != ids[0]


def test_what_is_only_parked_alerts_nobody() -> None:
    """It is tried again."""
    assert gave_up(Parked(a_delivery(), NOON)) is None
    assert gave_up() is None


def test_giving_up_an_alert_is_no_alert() -> None:
    """Two sinks that tell each other of their troubles would never come to an end."""
    alert = alerts.switched_off("log", WHY, NOON, NOON)
    lost = Parked(Delivery("crm", 9, alert, attempts=10, first_tried_at=NOON), NOON, "HTTP 400", dead=True)
    assert gave_up(lost) is None
    assert gave_up(lost, dead()) is not None
