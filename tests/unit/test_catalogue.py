"""sinks/catalogue.py and the settings of the sinks it lists."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from pydantic import TypeAdapter, ValidationError

from salesforce_poller.model import Kind
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.file import FileSettings
from salesforce_poller.sinks.webhook import WebhookSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = {"type": "webhook", "url": "https://example.com/hook"}
adapter: TypeAdapter[Any] = TypeAdapter(catalogue.AnySinkSettings)


def problem(settings: dict[str, Any]) -> str:
    """Return what is said about settings that are wrong."""
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(settings)
    return "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in caught.value.errors())


@pytest.mark.parametrize("word", catalogue.KINDS)
def test_the_word_is_the_file_the_key_and_the_type(word: str) -> None:
    """``type = "x"`` is ``sinks/x.py``, the key in the table, and the only value its settings take."""
    kind = catalogue.KINDS[word]
    assert kind.settings.model_fields["type"].annotation.__args__ == (word,)  # type: ignore[union-attr]  # it is a Literal
    assert kind.sink.__module__ == import_module(f"salesforce_poller.sinks.{word}").__name__


@pytest.mark.parametrize("settings", [HOOK, {"type": "stdout"}, {"type": "file", "path": "events.jsonl"}])
def test_each_kind_is_built_from_its_settings(settings: dict[str, Any]) -> None:
    """Three lines of configuration are enough for each."""
    sink = catalogue.build(adapter.validate_python(settings), FakeClock())
    assert type(sink) is catalogue.KINDS[settings["type"]].sink


@pytest.mark.parametrize("settings", [{"type": "pigeon"}, {}, {"type": 7}])
def test_an_unknown_type_is_answered_with_the_known_ones(settings: dict[str, Any]) -> None:
    """Whoever mistypes it sees what there is."""
    assert "type should be one of: webhook, stdout, file" in problem(settings)


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to type; a kind that needs none, or is none, lacks nothing."""
    pigeon = catalogue.SinkKind("pigeon", module="no_such_library")
    monkeypatch.setitem(catalogue.KINDS, "pigeon", pigeon)
    assert "pip install 'salesforce-poller[pigeon]'" in catalogue.lacking("pigeon")
    assert [catalogue.lacking(word) for word in ("file", "cuckoo")] == ["", ""]


def test_the_common_keys_have_the_promised_defaults() -> None:
    """Everything is wanted, and tried for three days."""
    hook = adapter.validate_python(HOOK)
    assert (hook.orgs, hook.objects, hook.events, hook.changed) == (None, None, None, None)
    assert hook.give_up_after == timedelta(days=3)
    assert (hook.timeout, hook.concurrency, hook.batch) == (timedelta(seconds=20), 10, 1)


def test_the_common_keys_are_read_as_people_write_them() -> None:
    """Kinds are kinds and spans are spans."""
    hook = adapter.validate_python(HOOK | {"events": ["created", "gap"], "give_up_after": "12h", "timeout": "5s"})
    assert hook.events == [Kind.CREATED, Kind.GAP]
    assert (hook.give_up_after, hook.timeout) == (timedelta(hours=12), timedelta(seconds=5))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"url": "ftp://example.com"}, "should be an address"),
        ({"url": "example.com/hook"}, "should be an address"),
        ({"url": "https://user:hunter22@example.com"}, "no user name or password"),
        ({"headers": {"Webhook-Id": "x"}}, "set by the sink itself"),
        ({"headers": {"content-type": "x"}}, "set by the sink itself"),
        ({"headers": {"X Y": "x"}}, "not the name of a header"),
        ({"headers": {"X": "hunter22\r\nEvil: 1"}}, "control characters"),
        ({"secret": "hunter22"}, "begins with whsec_"),
        ({"secret": [SECRET, "whsec_hunter22"]}, "24 to 64 bytes"),
        ({"secret": []}, "at least 1 item"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"timeout": "0s"}, "greater than"),
        ({"objects": []}, "at least 1 item"),
        ({"events": ["exploded"]}, "'created', 'updated'"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_webhook_settings_are_refused_without_showing_secrets(wrong: dict[str, Any], why: str) -> None:
    """The text helps, and holds nothing of what was written."""
    text = problem(HOOK | wrong)
    assert why in text
    assert "hunter22" not in text


def test_a_webhook_takes_one_secret_several_or_none() -> None:
    """One to sign with, several while they are being rotated, none for an unsigned hook."""
    keys = [len(WebhookSettings.model_validate(HOOK | more).keys()) for more in _secrets()]
    assert keys == [0, 1, 2]


def _secrets() -> list[dict[str, Any]]:
    return [{}, {"secret": SECRET}, {"secret": [SECRET, SECRET]}]


@pytest.mark.parametrize(
    ("size", "expected"), [("100MB", 100_000_000), ("1 gb", 10**9), ("512", 512), (0, 0), (4096, 4096), ("3kB", 3000)]
)
def test_sizes_are_read_as_people_write_them(size: str | int, expected: int) -> None:
    """Decimal units; a bare number is bytes."""
    settings = FileSettings.model_validate({"type": "file", "path": "x", "rotate_at": size})
    assert settings.rotate_at == expected
    assert settings.path == Path("x")


@pytest.mark.parametrize("size", ["big", "-1", "1.5GB", None, True])
def test_what_is_no_size_is_refused(size: Any) -> None:
    """The text says what would be right."""
    assert 'should be a size such as "100MB"' in problem({"type": "file", "path": "x", "rotate_at": size})
