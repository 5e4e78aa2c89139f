"""Where the configuration comes from, to be read again while the daemon runs, and what of it cannot change then.

Made by ``cli.py``; ``app.py`` reads it again when a signal or an order says so.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from salesforce_poller import config
from salesforce_poller.config import Config

#: What a running daemon keeps: its store, and its address with what opens it.
_FIXED = {"store": ("url", "secret_key", "lease"), "http": ("listen", "token")}


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file, with the environment that is laid over it."""

    path: Path
    environ: Mapping[str, str] = field(repr=False)
    #: Set whenever somebody wants it to be read again.
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The file, as it is found from anywhere."""
        return str(self.path.absolute())

    def load(self) -> Config:
        """Read it. Raises ConfigError with every problem found, each with the place of the file."""
        return config.load(self.path.absolute(), self.environ)


def keep_fixed(present: Config, new: Config) -> tuple[Config, list[str]]:
    """Return the new configuration with what a running daemon cannot change as it is now, and the keys that differ."""
    keys, sections = [], {}
    for section, fixed in _FIXED.items():
        have, said = getattr(present, section), getattr(new, section)
        keys += [f"{section}.{key}" for key in fixed if getattr(have, key) != getattr(said, key)]
        sections[section] = said.model_copy(update={key: getattr(have, key) for key in fixed})
    return new.model_copy(update=sections), keys
