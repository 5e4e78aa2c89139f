"""Values of which there are many, one for each row and event: frozen for whoever checks types. Used by ``model.py``."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

MadeT = TypeVar("MadeT")


@dataclass_transform(frozen_default=True)
def value(made: type[MadeT]) -> type[MadeT]:
    """Make a dataclass that is frozen for mypy, and not while the program runs.

    One that freezes itself takes three to four times as long to make, because it must go around its own ban for each
    of its fields.
    """
    return dataclass(slots=True, unsafe_hash=True)(made)
