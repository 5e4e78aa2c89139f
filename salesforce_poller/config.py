"""TOML and environment into one frozen Config; collects every problem before complaining.

Each room owns its settings; this file only assembles them, on the roof. What the environment says is laid over what
the file says, and only where something *was* said: ``SALESFORCE_POLLER__ORGS__ACME__API_VERSION=65.0``. A value may be
``{ env = "NAME" }`` or ``{ file = "/run/secrets/x" }`` anywhere a text is expected. Called by ``cli.py`` and tests.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from salesforce_poller.admin.settings import HttpSettings
from salesforce_poller.errors import ConfigError, capped
from salesforce_poller.polling.settings import Allowance, FeedSettings, read_allowance
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.soql import is_name
from salesforce_poller.sinks.catalogue import KINDS, AnySinkSettings, lacking
from salesforce_poller.store.settings import StoreSettings

ENVIRONMENT_PREFIX = "SALESFORCE_POLLER__"
#: Stands where a secret could not be read, so that the rest is still checked; never leaves this file.
UNREADABLE = "unreadable"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

#: Where something stands: the keys that lead to it.
Place = tuple[str | int, ...]
Problems = list[tuple[Place, str]]


class OrgConfig(OrgSettings):
    """``[orgs.NAME]``: how to log in, and the objects to watch."""

    #: How many of the org's daily API requests may be spent, in any 24 hours: a share, or a number of calls.
    api_budget: Annotated[Allowance, BeforeValidator(read_allowance)] = Allowance(share=0.25)
    #: By API name. The keys of ``[orgs.NAME.defaults]`` are already laid under each of them.
    objects: dict[str, FeedSettings] = Field(min_length=1)


class Config(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    orgs: dict[str, OrgConfig] = Field(min_length=1)
    sinks: dict[str, AnySinkSettings] = Field(min_length=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings' signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings' signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what :func:`load` has collected: it has laid the environment over the file already."""
        return (init_settings,)


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file and the environment.

    Raises:
        ConfigError: with every problem found, each one line with its place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from exc
    return parse(text, environ, name=str(path))


def parse(text: str, environ: Mapping[str, str], *, name: str = "configuration") -> Config:
    """Read a configuration from its text; ``name`` is what problems call it. Raises ConfigError like :func:`load`."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{name}: {_explain_toml(str(exc))}"]) from exc
    problems: Problems = []
    said = lay_over(said, environ)
    said = _read_secrets(said, (), environ, problems)
    said = _lay_defaults(said, problems)
    problems += _check_names(said)
    problems += _check_filters(said)
    problems += _check_expressions(said)
    problems += _check_keys(said)
    problems += _check_extras(said)
    config = _validate(said, problems)
    if config is None or problems:
        found = [(line_of(text, [str(key) for key in place]), place, problem) for place, problem in problems]
        found.sort(key=lambda one: one[0] or 0)
        raise ConfigError([_line(name, *one) for one in found])
    return config


# ---------------------------------------------------------------------- layers


def lay_over(said: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Lay the environment's values over the file's. Names match in any letter case; the file's spelling wins."""
    whole: dict[str, Any] = _copy(said)
    for variable, value in environ.items():
        if variable.upper().startswith(ENVIRONMENT_PREFIX):
            _put(whole, variable[len(ENVIRONMENT_PREFIX) :].split("__"), _from_environment(value))
    return whole


def _put(node: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    """Walk down to a key and set it; custom objects have two underscores of their own (``Invoice__c``)."""
    key, rest = _step(node, parts)
    if not rest:
        node[key] = value
        return
    if not isinstance(node.get(key), dict):
        node[key] = {}
    _put(node[key], rest, value)


def _step(node: Mapping[str, Any], parts: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Find the longest key that the file has; a key that it does not have is one part long, in small letters."""
    for length in range(len(parts), 0, -1):
        wanted = "__".join(parts[:length]).lower()
        for key in node:
            if key.lower() == wanted:
                return key, parts[length:]
    return parts[0].lower(), parts[1:]


def _from_environment(value: str) -> Any:
    """Lists, tables and booleans are written as in TOML; anything else is a text, which settings convert."""
    if value[:1] in ("[", "{") or value in ("true", "false"):
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            return value
    return value


def _copy(node: Any) -> Any:
    return {key: _copy(value) for key, value in node.items()} if isinstance(node, dict) else node


def _read_secrets(node: Any, place: Place, environ: Mapping[str, str], problems: Problems) -> Any:
    """Put the content where ``{ env = … }`` or ``{ file = … }`` stands."""
    if isinstance(node, list):
        return [_read_secrets(value, (*place, index), environ, problems) for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if set(node) not in ({"env"}, {"file"}) or not all(isinstance(value, str) for value in node.values()):
        return {key: _read_secrets(value, (*place, key), environ, problems) for key, value in node.items()}
    if "env" in node:
        if node["env"] not in environ:
            problems.append((place, f"the environment variable {node['env']} is not set"))
        return environ.get(node["env"], UNREADABLE)
    try:
        return Path(node["file"]).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        problems.append((place, f"cannot read {node['file']}: {reason}"))
        return UNREADABLE


def _lay_defaults(said: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Lay ``[orgs.NAME.defaults]`` under each object of the org; wrong ones are reported once, where they stand."""
    for name, org in _tables(said, "orgs"):
        if "defaults" not in org:
            continue
        place: Place = ("orgs", name, "defaults")
        defaults = org.pop("defaults")
        try:
            FeedSettings.model_validate(defaults)
        except ValidationError as exc:
            problems += _problems(exc, defaults, place)
            continue
        if isinstance(org.get("objects"), dict):
            org["objects"] = {
                key: {**defaults, **own} if isinstance(own, dict) else own for key, own in org["objects"].items()
            }
    return said


# ---------------------------------------------------------------------- checks


def _check_names(said: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    yield from (((key,), "unknown key") for key in said if key.startswith("_"))
    for section in ("orgs", "sinks"):
        for name, _ in _tables(said, section):
            if not _NAME.fullmatch(name):
                yield (section, name), "a name should hold letters, digits, - and _ only"
    for org_name, org in _tables(said, "orgs"):
        for name in _watched(org):
            if not is_name(name):
                yield (
                    ("orgs", org_name, "objects", name),
                    "should be the API name of an object, such as Lead or Invoice__c",
                )


def _check_filters(said: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """A sink that waits for something nobody watches would wait for ever."""
    watched = {name: _watched(org) for name, org in _tables(said, "orgs")}
    for sink_name, sink in _tables(said, "sinks"):
        wanted_orgs = sink.get("orgs")
        for org in _texts(wanted_orgs):
            if org not in watched:
                yield ("sinks", sink_name, "orgs"), f"there is no org named {org}{_meant(org, watched)}"
        reach = {name for org in watched if wanted_orgs is None or org in _texts(wanted_orgs) for name in watched[org]}
        for name in _texts(sink.get("objects")):
            if name not in reach:
                yield ("sinks", sink_name, "objects"), f"no org of this sink watches {name}{_meant(name, reach)}"


def _check_expressions(said: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for name, sink in _tables(said, "sinks"):
        if isinstance(sink.get("when"), str):
            from salesforce_poller.delivery import expression  # noqa: PLC0415  # CEL is 7 MB that most do without

            if problem := expression.problem(sink["when"]):
                yield ("sinks", name, "when"), problem


def _check_keys(said: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """A refresh token may be replaced by the org at any login, and must then be stored before it is used."""
    store = said.get("store")
    if isinstance(store, dict) and "secret_key" in store:
        return
    for name, org in _tables(said, "orgs"):
        if org.get("auth") == "refresh_token":
            needs = "to encrypt the refresh token that is kept; `openssl rand -base64 32` makes one"
            yield ("orgs", name, "auth"), f'"refresh_token" needs secret_key in [store], {needs}'


def _check_extras(said: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for name, sink in _tables(said, "sinks"):
        if problem := lacking(str(sink.get("type"))):
            yield ("sinks", name, "type"), f'"{sink["type"]}" {problem}'


def _validate(said: Mapping[str, Any], problems: Problems) -> Config | None:
    try:
        # A leading underscore would be an option of pydantic-settings itself; `_check_names` has refused it.
        return Config(**{key: value for key, value in said.items() if not key.startswith("_")})
    except ValidationError as exc:
        known = {place for place, _ in problems}
        problems += [problem for problem in _problems(exc, said, ()) if problem[0] not in known]
        return None


def _problems(error: ValidationError, said: Any, root: Place) -> Iterator[tuple[Place, str]]:
    """Turn pydantic's findings about what was ``said`` at ``root`` into ours, the first of each place.

    Never shows a value, since it may be a secret.
    """
    places: set[Place] = set()
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        place: Place = (*root, *_keys(said, found["loc"], missing=found["type"] == "missing"))
        if place in places:
            continue
        places.add(place)
        if found["type"] == "extra_forbidden":
            yield place, f"unknown key{_hint(place)}"
        elif found["type"] == "missing":
            yield place, "is missing"
        elif found["type"] == "too_short":
            yield place, "should hold at least one"
        else:
            yield place, found["msg"].removeprefix("Value error, ")


def _keys(said: Any, loc: Place, *, missing: bool) -> Place:
    """Keep of pydantic's location what stands in the file: kinds of sinks and members of unions are no keys."""
    keys: list[str | int] = []
    for part in loc:
        if _has(said, part):
            keys.append(part)
            said = said[part]
    return (*keys, loc[-1]) if missing else tuple(keys)


def _has(node: Any, part: str | int) -> bool:
    return part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))


def _hint(place: Place) -> str:  # noqa: PLR0911  # a table in code, a table of the file a line
    """Say what an unknown key may have meant, where it stands: a key of this table, or of another one."""
    key = str(place[-1])
    match place[:-1]:
        case ("orgs", str(org)) if key in FeedSettings.model_fields:
            return f"; it belongs into [orgs.{org}.defaults] or one of [orgs.{org}.objects.*]"
        case ("orgs", str()):
            return _meant(key, {*OrgConfig.model_fields, "defaults"})
        case ("orgs", *_):
            return _meant(key, FeedSettings.model_fields)
        case ("sinks", *_):
            return _meant(key, {name for kind in KINDS.values() for name in kind.settings.model_fields})
        case ("store",):
            return _meant(key, StoreSettings.model_fields)
        case ("http",):
            return _meant(key, HttpSettings.model_fields)
    return _meant(key, Config.model_fields)


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


# ---------------------------------------------------------------------- places


def _line(name: str, line: int | None, place: Place, problem: str) -> str:
    keys = ".".join(str(key) for key in place)
    return f"{name}{f':{line}' if line else ''}: {f'{keys}: ' if keys else ''}{problem}"


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """Find the line (from 1) on which a key stands, or the table it is missing from; None when the file has neither."""
    best, best_depth, table = None, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.strip()
        if header := re.match(r"\[\s*([^\[\]]+?)\s*\]", code):
            table = _dotted(header[1])
            here = table
        elif assignment := re.match(r"([A-Za-z0-9_\"'.-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=", code):
            here = [*table, *_dotted(assignment[1])]
        else:
            continue
        if list(keys[: len(here)]) == here and len(here) > best_depth:
            best, best_depth = number, len(here)
    return best


def _dotted(text: str) -> list[str]:
    return [part.strip().strip("\"'") for part in text.split(".")]


def _explain_toml(message: str) -> str:
    """Say in our words what tomllib says of a table that stands twice."""
    twice = re.match(r"Cannot declare \((.+?),?\) twice \((at line \d+).*\)", message)
    if not twice:
        return f"is not valid TOML: {capped(message)}"
    keys = ".".join(re.findall(r"'([^']*)'", twice[1]))
    return f"two tables are named [{keys}] ({twice[2]}); every org and every sink needs a name of its own"


def _tables(said: Mapping[str, Any], section: str) -> list[tuple[str, dict[str, Any]]]:
    tables = said.get(section)
    return [(name, one) for name, one in tables.items() if isinstance(one, dict)] if isinstance(tables, dict) else []


def _watched(org: Mapping[str, Any]) -> set[str]:
    objects = org.get("objects")
    return set(objects) if isinstance(objects, dict) else set()


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
