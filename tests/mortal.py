"""Processes that die: runs a coroutine up to its n-th await and kills it there."""

from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ProcessDied(BaseException):
    """The process is gone. Not an Exception, so that nothing in the house mistakes it for its own trouble."""


class DiesAt(Generic[T]):
    """Awaits a coroutine, and kills it at its n-th suspension.

    ``on_death`` is called at that moment, before anything can tidy up: what is on disk then is all that is left.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        awaits: int,
        on_death: Callable[[], None],
        blow: type[BaseException] = ProcessDied,
    ) -> None:
        self._blow = blow
        self._work = work
        self._awaits = awaits
        self._on_death = on_death

    def __await__(self) -> Generator[Any, Any, T]:
        """Step through the work, and throw at the chosen step."""
        blow: BaseException | None = None
        for awaited in count():
            if awaited == self._awaits:
                self._on_death()
                blow = self._blow()
            try:
                waits_for = self._work.send(None) if blow is None else self._work.throw(blow)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # the coroutine's own result
            try:
                yield waits_for
                blow = None
            except BaseException as thrown:  # noqa: BLE001  # a cancellation from outside is the work's business
                blow = thrown
        raise AssertionError("unreachable")
