"""The keys of a run: found in the job or the environment, each with its source, scope and hours.

Also the rate controllers of their scopes, since a scope's known quota stands beside its keys.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from zoneinfo import ZoneInfo

from batcher.errors import ConfigError
from batcher.job import Job, Key, Limits
from batcher.policy.ceiling import Ceiling
from batcher.policy.keyring import Keyring
from batcher.policy.limiter import Limiter
from batcher.policy.sharing import Sharing
from batcher.policy.window import Window, parse
from batcher.ports import SecretSource
from batcher.providers.defaults import Defaults
from batcher.providers.wire import normal_base_url
from batcher.records import AuthStyle, Bucket, KeyRef, record
from batcher.secrets.aws import AwsSource
from batcher.secrets.command import CommandSource
from batcher.secrets.env import EnvSource
from batcher.secrets.file import FileSource

# One for each of job.KEY_SOURCES, which the settings are checked against.
_SOURCES: Mapping[str, Callable[[str], SecretSource]] = {
    "env": EnvSource,
    "file": FileSource,
    "command": CommandSource,
    "aws-secretsmanager": AwsSource,
}


@record
class KeySetting:
    """One key: its name, how it travels, where its value is, and when it may be used.

    Attributes:
        source: None for a server that needs no key.
        refresh_s: Seconds between two readings of the source; 0: only when it is refused, and
            while it is out for that.
        window: Hours of use; None: all day.
        stated: Known quota of its scope, units a minute.
    """

    ref: KeyRef
    auth: AuthStyle
    source: SecretSource | None
    refresh_s: float = 0.0
    window: Window | None = None
    stated: Mapping[Bucket, float] = field(default_factory=dict)


def find_keys(
    job: Job, *, base_url: str, auth: AuthStyle, defaults: Defaults
) -> Sequence[KeySetting]:
    """The job's keys, else the environment's, else none at all for a server that needs none.

    Args:
        job: The job.
        base_url: Where requests go unless a key says otherwise.
        auth: How a key travels.
        defaults: Of the wire format: its server and the variables that hold keys.

    Raises:
        ConfigError: The vendor's own server is the target and there is no key.
    """
    if auth is AuthStyle.NONE:
        return [_anonymous(base_url)]
    if job.keys:
        names = _aliases(job.keys)
        return [_from_setting(k, n, base_url, auth) for k, n in zip(job.keys, names, strict=True)]
    for name, style in defaults.key_envs:
        if found := _numbered(name):
            return [_from_variable(n, base_url, job.request.auth or style) for n in found]
    if base_url == normal_base_url(defaults.base_url):
        known = " or ".join(name for name, _ in defaults.key_envs)
        raise ConfigError(
            f"there is no API key for {base_url}: set {known}, or add "
            '[[keys]] with source = "env:NAME" or "file:PATH" to the job'
        )
    return [_anonymous(base_url)]


def make_keyring(keys: Sequence[KeySetting], limits: Limits) -> Keyring:
    """The keys in one ring, with a rate controller for every scope they name."""
    common = {} if _has_scopes(keys) else _ceilings(limits)
    stated: dict[str, dict[Bucket, float]] = {}
    for key in keys:
        scope = stated.setdefault(key.ref.scope, dict(common))
        for bucket, value in key.stated.items():
            scope[bucket] = min(value, scope.get(bucket, value))
    return Keyring(
        [key.ref for key in keys],
        {
            scope: Limiter(scope, stated=known, max_in_flight=limits.concurrency)
            for scope, known in stated.items()
        },
        windows={key.ref.alias: key.window for key in keys if key.window is not None},
    )


def make_sharing(keys: Sequence[KeySetting]) -> Sharing | None:
    """What watches for scopes that share one quota; None where there is but one scope."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.ref.scope, key.ref.alias)
    return Sharing(first) if len(first) > 1 else None


def make_ceiling(keys: Sequence[KeySetting], limits: Limits) -> Ceiling | None:
    """The job's limits on tokens, where several scopes must keep them together."""
    stated = _ceilings(limits)
    return Ceiling(stated) if stated and _has_scopes(keys) else None


def _has_scopes(keys: Sequence[KeySetting]) -> bool:
    return len({key.ref.scope for key in keys}) > 1


def _ceilings(limits: Limits) -> dict[Bucket, float]:
    # Requests a minute of the whole job are kept by the gate.
    return _given(None, limits.input_tokens_per_minute, limits.output_tokens_per_minute)


def _given(
    requests: float | None, inputs: float | None, outputs: float | None
) -> dict[Bucket, float]:
    pairs = ((Bucket.REQUESTS, requests), (Bucket.INPUT, inputs), (Bucket.OUTPUT, outputs))
    return {bucket: value for bucket, value in pairs if value is not None}


def _anonymous(base_url: str) -> KeySetting:
    ref = KeyRef(alias="none", scope="default", base_url=base_url)
    return KeySetting(ref=ref, auth=AuthStyle.NONE, source=None)


def _from_variable(name: str, base_url: str, auth: AuthStyle) -> KeySetting:
    return KeySetting(
        ref=KeyRef(alias=name, scope=name, base_url=base_url),
        auth=auth,
        source=EnvSource(name),
    )


def _from_setting(key: Key, alias: str, base_url: str, auth: AuthStyle) -> KeySetting:
    zone = ZoneInfo(key.time_zone) if key.time_zone is not None else None
    return KeySetting(
        ref=KeyRef(
            alias=alias,
            scope=key.scope or alias,
            base_url=_own_url(key.base_url, alias) if key.base_url else base_url,
            weight=key.weight,
        ),
        auth=auth,
        source=_source(key.source),
        refresh_s=key.refresh_s,
        window=parse(key.active, zone) if key.active is not None else None,
        stated=_given(
            key.requests_per_minute, key.input_tokens_per_minute, key.output_tokens_per_minute
        ),
    )


def _own_url(text: str, alias: str) -> str:
    try:
        return normal_base_url(text)
    except ConfigError as fault:
        about_key = str(fault).replace("request.base_url", f"the base_url of key {alias}")
        raise ConfigError(about_key) from None


def _source(text: str) -> SecretSource:
    kind, _, rest = text.partition(":")
    return _SOURCES[kind](rest)


def _aliases(keys: Sequence[Key]) -> list[str]:
    """A name for every key; a name made from a source is numbered when it is taken."""
    taken = {key.alias for key in keys}
    names = []
    for key in keys:
        name = key.alias or _free(_name_of(key.source), taken)
        taken.add(name)
        names.append(name)
    return names


def _free(name: str, taken: Iterable[str | None]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _name_of(source: str) -> str:
    """What a source is called: its last part, or a command's program; never its arguments."""
    kind, _, rest = source.partition(":")
    if kind == "command":
        rest = shlex.split(rest)[0]
    return rest.rstrip("/").rpartition("/")[2] or rest


def _numbered(name: str) -> list[str]:
    """The variables NAME, NAME_2, NAME_3 ... that hold something, in this order."""
    pattern = re.compile(rf"{re.escape(name)}(?:_([1-9]\d*))?")
    found = [
        (int(match[1] or 0), variable)
        for variable, value in os.environ.items()
        if value.strip() and (match := pattern.fullmatch(variable))
    ]
    return [variable for _, variable in sorted(found)]
