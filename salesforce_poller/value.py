"""Values of which there are many, one for each row and event: frozen, and quickly made. Used by ``model.py``."""

from typing import Any, Self

import msgspec


class Value(msgspec.Struct, frozen=True, gc=False):
    """What is written below it as fields, in that order, compared by all of them.

    A frozen dataclass takes four to ten times as long to make, because it must go around its own ban for each of its
    fields. The garbage collector does not look at values: they hold nothing that holds them.
    """

    def but(self, **changes: Any) -> Self:
        """Return the same with other values in some of its fields."""
        return msgspec.structs.replace(self, **changes)
