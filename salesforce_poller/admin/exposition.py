"""Writes metrics in Prometheus' text format, piece by piece. Pure; called by ``metrics.py``.

Written by hand, because prometheus_client takes four times as long for it, all of it in one go: with ten thousand feeds
at work a page has a hundred thousand lines. The tests read it back with prometheus_client.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain

from salesforce_poller.admin.meters import Meter
from salesforce_poller.admin.tally import Labels
from salesforce_poller.spread import Spread

#: Values of a metric by its labels: numbers, or spreads for histograms and summaries.
Values = Sequence[tuple[Labels, float]]
Spreads = Sequence[tuple[Labels, Spread]]

#: Lines in one piece, give or take a histogram.
_PIECE = 1_000
#: What stands for what in a label's value.
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_SPECIAL = re.compile(r'[\\"\n]')


def pieces(meters: Iterable[Meter], values: Mapping[Meter, Values], spreads: Mapping[Meter, Spreads]) -> Iterator[str]:
    """Write every metric in this order, those without any value too; each piece is a moment's work."""
    lines: list[str] = []
    for meter in meters:
        lines += (f"# HELP {meter.name} {_help(meter.help)}", f"# TYPE {meter.name} {meter.type}")
        for line in chain(_plain(meter, values.get(meter, ())), _spread(meter, spreads.get(meter, ()))):
            lines.append(line)
            if len(lines) >= _PIECE:
                yield "\n".join(lines) + "\n"
                lines = []
    yield "".join(f"{line}\n" for line in lines)


def _plain(meter: Meter, values: Values) -> Iterator[str]:
    form = f"{meter.name}{_braced(_form(meter))} "
    for labels, value in values:
        yield f"{form % _escaped(labels)}{value!r}"


def _spread(meter: Meter, spreads: Spreads) -> Iterator[str]:
    form = _form(meter)
    for labels, one in spreads:
        told = form % _escaped(labels)
        counts = list(accumulate(one.counts))
        if meter.type == "histogram":
            for bound, count in zip((*one.bounds, "+Inf"), counts, strict=True):
                yield f'{meter.name}_bucket{{{told}{"," if told else ""}le="{bound}"}} {count}'
        yield f"{meter.name}_sum{_braced(told)} {one.total!r}"
        yield f"{meter.name}_count{_braced(told)} {counts[-1]}"


def _form(meter: Meter) -> str:
    """Return the labels with places for their values."""
    return ",".join(f'{name}="%s"' for name in meter.labels)


def _escaped(values: Labels) -> Labels:
    """Return values as they stand between quotes. Names of a configuration seldom need it, and there are many."""
    if _SPECIAL.search("".join(values)):
        return tuple(value.translate(_ESCAPES) for value in values)
    return values


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
