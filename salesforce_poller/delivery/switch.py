"""When is a sink switched off, and what does its state say then? Pure. Called by ``round.py``.

A sink that is switched off takes nothing and keeps its cursor, so nothing is lost: its events wait in the store. It is
tried again when a person resumes it, and once when the daemon is started.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from salesforce_poller.model import SinkState

#: Nothing but failures for so long is no outage that passes by itself.
_TOO_LONG = timedelta(days=5)


def off_when_gone(state: SinkState) -> SinkState:
    """Switch off a sink that asks us to stop."""
    return _off(state, f"it asks for no more events ({state.last_error or 'gone'})")


def off_after_days(state: SinkState, now: datetime) -> SinkState:
    """Switch off a sink that has only failed for five days. A restart does not begin them anew, an acceptance does."""
    if state.paused or state.failing_since is None or now - state.failing_since < _TOO_LONG:
        return state
    since = f"{state.failing_since:%Y-%m-%d %H:%M}Z"
    return _off(state, f"nothing but failures since {since}, the last: {state.last_error or 'no reason given'}")


def _off(state: SinkState, why: str) -> SinkState:
    mended = f"when that is mended, `salesforce-poller sinks resume {state.name}`"
    return replace(state, paused=f"switched off: {why}; {mended}", paused_by_person=False)
