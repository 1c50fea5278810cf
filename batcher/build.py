"""The composition root: the only place that names concrete adapters.

`compose` turns a Job into the parts of a run. What a job lacks and the environment offers
(keys, base URLs) is found here; what is missing altogether is a ConfigError with the fix.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from batcher.errors import ConfigError
from batcher.events import Event
from batcher.job import Job, ProviderName, Request
from batcher.keychain import KeySetting, find_keys, make_ceiling, make_keyring, make_sharing
from batcher.load import read_template
from batcher.pipeline.admission import Admission
from batcher.pipeline.backlog import Backlog
from batcher.pipeline.gate import Gate
from batcher.pipeline.intake import Intake
from batcher.pipeline.keys import Keys
from batcher.pipeline.neighbours import Neighbours
from batcher.pipeline.parts import Parts
from batcher.policy.keyring import Keyring
from batcher.policy.outage import Outage
from batcher.policy.render import effective, make_renderer, row_id
from batcher.ports import Journal, Provider, Settled, Sink, Source
from batcher.providers.catalogue import Defaults, check, defaults_of, make_provider
from batcher.providers.presets import apply_preset
from batcher.providers.wire import input_chars, normal_base_url
from batcher.records import AuthStyle, record
from batcher.secret import Redactor, Secret
from batcher.storage.noticeboard import NoticeBoard
from batcher.transport.http import HttpTransport
from batcher.transport.proxies import check_proxy
from batcher.version import __version__

_WINDOW_PER_WORKER = 2
_OPEN_PER_WORKER = 8
_LEAST_OPEN = 1024
_MOST_OPEN_BYTES = 64 * 1024 * 1024

# The servers batcher starts itself speak the Messages API.
OWN_SERVERS = {ProviderName.LOCAL: "smollm2-135m-instruct", ProviderName.SIMULATED: "simulated-1"}


def has_own_server(job: Job) -> bool:
    """Whether batcher starts the server itself, at another port each time."""
    return job.rehearsal or job.request.provider in OWN_SERVERS


@record
class Target:
    """Where requests go and how, with the environment taken into account.

    Attributes:
        request: The job's request settings, preset applied, model and base URL filled in.
        base_url: Without a trailing slash or /v1.
    """

    provider: Provider
    request: Request
    base_url: str
    auth: AuthStyle
    defaults: Defaults


def target_of(job: Job, *, base_url: str | None = None) -> Target:
    """Resolve provider, base URL, model and preset.

    Args:
        job: The job.
        base_url: Of a server batcher has started itself; wins over every setting.

    Raises:
        ConfigError: Something is missing or contradictory; names the field and the fix.
    """
    request = job.request
    name = request.provider
    own_model = OWN_SERVERS.get(name)
    wire_name = ProviderName.ANTHROPIC if own_model is not None else name
    defaults = defaults_of(wire_name)
    given = base_url or request.base_url
    url = normal_base_url(given) if given else _environments_url(defaults)
    if not request.model and own_model is None:
        raise ConfigError(
            f"request.model is not set; name the model as {name} spells it, "
            'for example model = "claude-haiku-5-5"'
        )
    model = request.model or own_model
    request = apply_preset(request.model_copy(update={"model": model, "base_url": url}))
    auth = AuthStyle.NONE if own_model is not None else request.auth or defaults.auth
    provider = make_provider(wire_name, base_url=url)
    return Target(provider=provider, request=request, base_url=url, auth=auth, defaults=defaults)


def _environments_url(defaults: Defaults) -> str:
    name = defaults.base_url_env
    try:
        return normal_base_url(os.environ.get(name, "").strip() or defaults.base_url)
    except ConfigError as fault:
        raise ConfigError(str(fault).replace("request.base_url", name)) from None


def keys_of(job: Job, target: Target) -> Sequence[KeySetting]:
    """The keys of a job, or the environment's; see keychain.find_keys.

    Raises:
        ConfigError: The vendor's own server is the target and there is no key.
    """
    return find_keys(job, base_url=target.base_url, auth=target.auth, defaults=target.defaults)


def refuse_what_cannot_work(job: Job) -> None:
    """Look at a job's settings and keys before anything is written or sent.

    Raises:
        ConfigError: The model or API version would refuse the settings, there is no key, or the
            environment's proxy cannot be used; names each mistake and its fix.
    """
    target = target_of(job)
    if problems := check(target.request):
        raise ConfigError("\n".join(problems))
    for key in keys_of(job, target):
        check_proxy(key.ref.base_url)


def make_intake(job: Job, target: Target) -> Intake:
    """What turns rows into calls."""
    return Intake(
        request=target.request,
        endpoint="built-in" if has_own_server(job) else target.base_url,
        provider=target.provider,
        name_row=partial(row_id, id_field=job.input.id_field),
        render=make_renderer(read_template(job)),
        effective=effective,
        measure=partial(input_chars, default_system=target.request.system),
        keep=job.output.keep,
    )


def make_transport(
    keys: Sequence[KeySetting],
    values: Mapping[str, Secret],
    job: Job,
    redactor: Redactor,
    provider: Provider,
) -> HttpTransport:
    """The HTTP client of a run.

    Raises:
        ConfigError: The environment's proxy cannot be used.
    """
    for key in keys:
        check_proxy(key.ref.base_url)
    return HttpTransport(
        values=values,
        auth={key.ref.alias: key.auth for key in keys},
        redactor=redactor,
        connect_timeout_s=job.patience.connect_timeout_s,
        first_byte_s=job.patience.first_byte_s,
        user_agent=f"batcher/{__version__}",
        is_over=provider.stream_is_over,
    )


def compose(
    job: Job,
    target: Target,
    *,
    source: Source,
    settled: Settled,
    sink: Sink,
    journal: Journal,
    redactor: Redactor,
    emit: Callable[[Event], None],
    brake: Callable[[], Awaitable[None]] | None = None,
) -> Parts:
    """The parts of one run of a job."""
    keys = keys_of(job, target)
    values: dict[str, Secret] = {}
    keyring = make_keyring(keys, job.limits)
    limits, patience = job.limits, job.patience
    outage = Outage(unanswered_s=patience.unanswered_s, answered_s=patience.outage_s)
    rpm = limits.requests_per_minute
    return Parts(
        source=source,
        settled=settled,
        intake=make_intake(job, target),
        backlog=Backlog(
            window=_WINDOW_PER_WORKER * limits.concurrency,
            most_rows=max(_LEAST_OPEN, _OPEN_PER_WORKER * limits.concurrency),
            most_bytes=_MOST_OPEN_BYTES,
        ),
        admission=Admission(
            keyring,
            outage=outage,
            gate=Gate(rpm) if rpm else None,
            sharing=make_sharing(keys),
            ceiling=make_ceiling(keys, limits),
        ),
        keys=Keys(
            {key.ref.alias: key.source for key in keys if key.source is not None},
            values=values,
            keyring=keyring,
            redactor=redactor,
            emit=emit,
            refresh_s={key.ref.alias: key.refresh_s for key in keys},
        ),
        transport=make_transport(keys, values, job, redactor, target.provider),
        provider=target.provider,
        redactor=redactor,
        sink=sink,
        journal=journal,
        outage=outage,
        patience=patience,
        workers=limits.concurrency,
        sync_every_s=job.output.fsync_interval_s if job.output.fsync == "interval" else None,
        emit=emit,
        brake=brake,
        neighbours=_neighbours(job, target, keyring, values, emit),
    )


def _neighbours(
    job: Job,
    target: Target,
    keyring: Keyring,
    values: Mapping[str, Secret],
    emit: Callable[[Event], None],
) -> Neighbours | None:
    """What shares quotas with other runs on this machine; a server of our own has nobody else."""
    if has_own_server(job):
        return None
    about = f"{target.base_url} {target.request.model}"
    return Neighbours(NoticeBoard(), keyring=keyring, values=values, about=about, emit=emit)
