"""source.py: what a running daemon keeps although the file says otherwise, and where problems are said to be."""

from pathlib import Path

import pytest
from config_examples import GOOD
from credentials import a_secret_key

from salesforce_poller import config
from salesforce_poller.errors import ConfigError
from salesforce_poller.source import Source, keep_fixed

KEY = a_secret_key()


def test_the_store_and_the_address_stay_and_the_rest_changes() -> None:
    """Each of the keys is named; whatever else stands beside them is taken."""
    present = config.parse(GOOD, {})
    said = {
        "STORE__URL": "sqlite:///other.db",
        "STORE__SECRET_KEY": KEY,
        "STORE__KEEP_EVENTS": "3d",
        "HTTP__LISTEN": "127.0.0.1:9999",
        "HTTP__TOKEN": "let-me-in",
        "ORGS__ACME__API_BUDGET": "10%",
    }
    new = config.parse(GOOD, {f"SALESFORCE_POLLER__{key}": value for key, value in said.items()})
    kept, keys = keep_fixed(present, new)
    assert keys == ["store.url", "store.secret_key", "http.listen", "http.token"]
    assert (kept.store.url, kept.store.secret_key, kept.http) == (present.store.url, None, present.http)
    assert kept.store.keep_events == new.store.keep_events != present.store.keep_events
    assert kept.orgs == new.orgs != present.orgs


def test_what_is_the_same_needs_no_restart() -> None:
    """Nobody is told of keys that did not change."""
    present = config.parse(GOOD, {})
    assert keep_fixed(present, config.parse(GOOD, {})) == (present, [])


def test_problems_are_said_with_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads them need not be where the daemon was started."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text("[store]\nurl = 1\n")
    source = Source(Path("config.toml"), {})
    assert source.name == str(tmp_path / "config.toml")
    with pytest.raises(ConfigError) as caught:
        source.load()
    assert all(problem.startswith(f"{tmp_path}/config.toml") for problem in caught.value.problems)
