"""A measured figure and the limit beside it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    #: The same unit, measured in the same run.
    limit: float
    limit_is: str

    @property
    def ratio(self) -> float:
        """How much of the limit is reached."""
        return self.value / self.limit
