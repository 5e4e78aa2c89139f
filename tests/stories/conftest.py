"""Every story happens in a world of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import World, a_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with both clocks at the same time."""
    async with a_world(tmp_path) as made:
        yield made
