"""Laws of ``polling/plan.py``: whenever we ask, whatever commits late, nothing between two questions is left out."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st
from little_org import LittleOrg
from polling_builders import SETTLED, STARTED, a_record, a_schema, a_window, at, some_marks

from salesforce_poller.model import Gap, Record, Watermarks, Window
from salesforce_poller.polling import plan
from salesforce_poller.polling.plan import Span
from salesforce_poller.polling.settings import FeedSettings

SCHEMA = a_schema()
IDS = ("00Qa", "00Qb", "00Qc", "00Qd", "00Qe")
seconds = st.integers(0, 400)
instants = st.integers(-40 * 86400, 40 * 86400).map(lambda offset: SETTLED + timedelta(seconds=offset))
ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
writes = st.tuples(ids, st.sampled_from([0, 0, 5, 90, 900]))
marks = st.builds(
    lambda seen, settled, deleted: some_marks(seen_through=seen, settled_through=settled, deleted_through=deleted),
    instants,
    instants,
    instants,
)


@dataclass(frozen=True)
class Between:
    """What happens between two pages."""

    pause: int
    write: tuple[list[str], int] | None
    #: What becomes of the query: it goes on, its locator is lost, or our process dies.
    fate: str


@dataclass(frozen=True)
class Turn:
    """A turn of the feed, after a while."""

    wait: int
    write: tuple[list[str], int] | None
    sweep: bool
    #: Seconds by which the server's clock, as we read it, is off.
    skew: int
    pages: list[Between]


fates = st.sampled_from(["goes on", "goes on", "lost", "dies"])
between = st.builds(Between, st.sampled_from([0, 0, 1, 30]), st.none() | writes, fates)
turns = st.builds(Turn, seconds, st.none() | writes, st.booleans(), st.integers(-5, 5), st.lists(between, max_size=4))


@dataclass
class Reader:
    """What ``poller.py`` does with a plan, without its hands."""

    org: LittleOrg
    settings: FeedSettings
    marks: Watermarks
    seen: dict[str, Record] = field(default_factory=dict)
    #: The latest that the server's clock was read as; a later reading may be an earlier time.
    latest: datetime = SETTLED

    def turn(self, turn: Turn) -> None:
        """Poll or sweep; a process that dies leaves what its last page has committed."""
        now = self.org.now + timedelta(seconds=turn.skew)
        self.latest = max(self.latest, now)
        if not turn.sweep:
            window = plan.poll_window(SCHEMA, self.settings, self.marks)
            self._read(window, self.marks.settled_through, turn.pages)
            return
        covered = self.org.covered_until(plan.updated_span(self.marks, now).end)
        if self._read(plan.sweep_window(SCHEMA, self.settings, self.marks), covered, turn.pages):
            self._move(plan.settled(self.marks, covered, now))
            assert self.marks.settled_through <= self.latest, "settled never passes the server's time"

    def _read(self, window: Window, proven_before: datetime, between: list[Between]) -> bool:
        chosen, read = set(self.org.select(window)), dict[str, Record]()
        opened_at, highest, rest = self.org.now, self.marks.seen_through, iter(between)
        while True:
            for page, last in self.org.pages(self.org.select(window)):
                window = plan.after_page(window, page, proven_before=proven_before)
                highest = max([highest, *(row.stamp for row in page)])
                reached = plan.seen(self.marks, min(highest, opened_at))
                self._move(reached if last else plan.seen_in_passing(self.marks, window))
                read |= {row.id: row for row in page}
                self.seen |= read
                if last:
                    assert chosen <= read.keys(), "no row that was selected is jumped over"
                    return True
                fate = self._meanwhile(next(rest, Between(0, None, "goes on")))
                if fate == "dies":
                    self.long_tail = False
                    return False
                if fate == "lost":
                    break

    def _meanwhile(self, step: Between) -> str:
        self.org.advance(step.pause)
        if step.write:
            self.org.write(*step.write)
        return step.fate

    def _move(self, marks: Watermarks) -> None:
        for name in ("seen_through", "settled_through", "deleted_through"):
            assert getattr(marks, name) >= getattr(self.marks, name), f"{name} never goes backwards"
        self.marks = marks


@given(st.lists(turns, max_size=12), st.lists(writes, max_size=3), st.sampled_from(["0s", "1s", "10s", "5m"]))
@example(
    life=[
        Turn(803, (["00Qa"], 0), False, 0, [Between(1, None, "goes on")]),
        Turn(397, None, True, 0, []),
        Turn(0, None, True, -1, []),
    ],
    before=[],
    overlap="0s",
)  # a reading of the clock that is earlier than the one before
def test_whatever_commits_late_is_read_in_the_end(
    life: list[Turn], before: list[tuple[list[str], int]], overlap: str
) -> None:
    """Polls, sweeps, lost locators, deaths and skewed clocks: the last sweep leaves no row unread."""
    org = LittleOrg(SETTLED - timedelta(seconds=30))
    for write in before:
        org.write(*write)
    org.advance(30)
    covered = org.covered_until(org.now)
    settings = FeedSettings.model_validate({"overlap": overlap})
    reader = Reader(org, settings, plan.first_marks(settings, covered, org.now))
    for turn in life:
        org.advance(turn.wait)
        if turn.write:
            org.write(*turn.write)
        reader.turn(turn)
    org.advance(1000)
    reader.turn(Turn(0, None, sweep=True, skew=0, pages=[]))
    assert {one: reader.seen.get(one) for one in org.rows} == {
        one: row if row.stamp >= covered else reader.seen.get(one) for one, row in org.rows.items()
    }


@given(marks, st.sampled_from(["0s", "10s", "1h"]))
def test_a_poll_leaves_out_only_what_is_settled_or_lies_behind_its_overlap(marks: Watermarks, overlap: str) -> None:
    """So polls and sweeps together cover all time."""
    settings = FeedSettings.model_validate({"overlap": overlap})
    window = plan.poll_window(SCHEMA, settings, marks)
    assert window.since == max(marks.seen_through - settings.overlap, marks.settled_through)
    assert window.until is None


@given(marks, st.integers(0, 10**9))
def test_a_window_that_is_cut_is_covered_by_its_halves(marks: Watermarks, age: int) -> None:
    """Nothing falls between them, and each is smaller, down to a second."""
    now = marks.seen_through + timedelta(seconds=age)
    window = plan.poll_window(SCHEMA, FeedSettings(), marks)
    while halves := plan.split(window, now):
        first, second = halves
        assert (first.since, second.until, first.until) == (window.since, window.until, second.since)
        window = first
    assert window.since is not None
    assert (window.until or now + timedelta(seconds=1)) - window.since <= timedelta(seconds=2)


@given(marks, st.sampled_from(["0s", "10s", "1h"]))
def test_a_sweep_reaches_back_to_what_is_settled_and_replaces_a_poll(marks: Watermarks, overlap: str) -> None:
    """Whatever polls have read since."""
    settings = FeedSettings.model_validate({"overlap": overlap})
    window = plan.sweep_window(SCHEMA, settings, marks)
    poll = plan.poll_window(SCHEMA, settings, marks)
    assert window.since is not None
    assert poll.since is not None
    assert window.since <= marks.settled_through
    assert window.since <= poll.since
    assert window.until is None


@given(marks, instants, instants)
def test_settled_and_logged_never_go_back_nor_pass_the_servers_time(
    marks: Watermarks, covered: datetime, now: datetime
) -> None:
    """Whatever the server says it covers, and whichever way its clock jumps."""
    settled = plan.settled(marks, covered, now).settled_through
    logged = plan.logged(marks, covered, now).deleted_through
    assert settled >= marks.settled_through
    assert logged >= marks.deleted_through
    assert settled in (marks.settled_through, covered, now)
    assert settled <= max(now, marks.settled_through)
    assert logged <= max(now, marks.deleted_through)


@given(marks, instants)
def test_the_replication_calls_are_asked_for_spans_they_answer(marks: Watermarks, now: datetime) -> None:
    """More than a minute, not too far back, ending now; and never later than where we stopped."""
    updated = plan.updated_span(marks, now)
    deleted, gap = plan.deleted_span(marks, now)
    for span in (updated, deleted):
        assert span.end == now
        assert span.end - span.start >= plan.SHORTEST_SPAN
    assert now - updated.start <= plan.UPDATED_REACH
    assert now - deleted.start <= plan.DELETED_REACH
    assert updated.start <= max(marks.settled_through, now - plan.UPDATED_REACH)
    assert deleted.start <= (gap.until if gap else marks.deleted_through)


@dataclass(frozen=True)
class LogAnswer:
    """How the delete log answers at one sweep."""

    #: How long after the last sweep, and how much of it our clock shows.
    wait: timedelta
    #: How far the log reaches back, and how much of the end it leaves out.
    reach: timedelta
    held_back: timedelta
    #: INVALID_REPLICATION_DATE for anything but the shortest span.
    refused: bool


days = st.floats(0, 40).map(lambda many: timedelta(days=many))
log_answers = st.builds(
    LogAnswer,
    st.one_of(days, st.integers(-300, 600).map(lambda many: timedelta(seconds=many))),
    st.one_of(st.just(timedelta(days=30)), st.floats(0, 1).map(lambda many: timedelta(days=many))),
    st.integers(0, 7200).map(lambda many: timedelta(seconds=many)),
    st.booleans(),
)


@given(marks, st.lists(log_answers, min_size=1, max_size=8))
def test_delete_log_and_gaps_together_cover_all_time(marks: Watermarks, answers: list[LogAnswer]) -> None:
    """What the log was not read for is told as a gap: never silence, and never a gap where it was read."""
    first, now = marks.deleted_through, marks.deleted_through
    told: list[tuple[datetime, datetime]] = []
    for answer in answers:
        now += answer.wait
        span, gap = plan.deleted_span(marks, now)
        gaps: list[Gap | None] = [gap]
        recent = Span(now - plan.SHORTEST_SPAN, now)
        if answer.refused and span != recent:
            gaps.append(plan.lost_log(span, recent))
            span = recent
        earliest = now - answer.reach
        gaps.append(plan.purged_gap(span, marks, earliest))
        told += [(one.since, one.until) for one in gaps if one]
        told.append((max(span.start, earliest), now - answer.held_back))
        assert all(one.since < one.until for one in gaps if one)
        assert all(one.since >= marks.deleted_through for one in gaps if one), "a gap where the log was read"
        marks = plan.logged(marks, now - answer.held_back, now)
    reached = first
    for since, until in sorted(told):
        assert since <= reached or reached >= marks.deleted_through, f"silence from {reached} to {since}"
        reached = max(reached, until)
    assert reached >= marks.deleted_through


@given(st.integers(0, 5000))
def test_a_span_that_holds_too_much_is_halved_until_it_cannot_be(minutes: int) -> None:
    """Each half begins where the whole began, and is long enough for the call."""
    span: Span | None = Span(SETTLED, SETTLED + timedelta(minutes=minutes))
    while span is not None:
        half = plan.halved(span)
        if half is not None:
            assert half.start == span.start
            assert plan.SHORTEST_SPAN <= half.end - half.start <= (span.end - span.start) / 2
        span = half


rows = st.lists(
    st.builds(
        lambda offset, one: a_record(id=one, stamp=at("10:00:00") + timedelta(seconds=offset)),
        st.integers(-3, 3),
        st.sampled_from(IDS),
    ),
    max_size=4,
)


@given(rows, st.none() | st.sampled_from(IDS))
def test_only_a_row_that_cannot_have_moved_marks_a_place(page: list[Record], after: str | None) -> None:
    """A stamp at or after what was settled before the query may be younger than the query."""
    start = a_window(after=(at("09:59:00"), after) if after else None)
    window = plan.after_page(start, page, proven_before=at("10:00:00"))
    proven = [(row.stamp, row.id) for row in page if row.stamp < at("10:00:00")]
    assert window == replace(start, after=proven[-1] if proven else start.after)
    moved = plan.seen_in_passing(some_marks(seen_through=STARTED), window)
    assert moved.seen_through == max([STARTED, *([window.after[0]] if window.after else [])])
