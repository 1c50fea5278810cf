"""The wire formats there are: one line each. A new one is a folder beside this file and a line."""

from collections.abc import Callable, Mapping

from batcher.errors import ConfigError
from batcher.job import ProviderName, Request
from batcher.providers.anthropic.complete import Complete
from batcher.providers.anthropic.messages import Messages
from batcher.providers.body import job_problems
from batcher.providers.defaults import ANTHROPIC, ANTHROPIC_COMPLETE, OPENAI, Defaults
from batcher.providers.openai.chat import Chat
from batcher.providers.wire import normal_base_url
from batcher.records import record

__all__ = ["PROVIDERS", "Defaults", "Entry", "WireFormat", "check", "defaults_of", "make_provider"]

WireFormat = Messages | Complete | Chat


@record
class Entry:
    """A wire format: how it is made for a base URL, and what it uses by default."""

    make: Callable[[str], WireFormat]
    defaults: Defaults


PROVIDERS: Mapping[ProviderName, Entry] = {
    ProviderName.ANTHROPIC: Entry(make=lambda _: Messages(), defaults=ANTHROPIC),
    ProviderName.ANTHROPIC_COMPLETE: Entry(make=lambda _: Complete(), defaults=ANTHROPIC_COMPLETE),
    ProviderName.OPENAI: Entry(make=Chat, defaults=OPENAI),
}
"""`local` and `simulated` are servers, not formats: whoever starts one knows what it speaks."""


def defaults_of(name: ProviderName) -> Defaults:
    """What a wire format uses by default.

    Raises:
        KeyError: The name is a server's (`local`, `simulated`), not a format's.
    """
    return PROVIDERS[name].defaults


def make_provider(name: ProviderName, *, base_url: str | None = None) -> WireFormat:
    """The provider of a wire format.

    Args:
        name: One of PROVIDERS.
        base_url: Where requests will go; the vendor's own when left out.

    Raises:
        KeyError: The name is a server's (`local`, `simulated`), not a format's.
        ConfigError: The base URL is no web address.
    """
    entry = PROVIDERS[name]
    return entry.make(normal_base_url(base_url or entry.defaults.base_url))


def check(request: Request) -> list[str]:
    """What the job's wire format or model would refuse of its settings: field and fix each.

    Sends nothing. What batcher's own servers take is not asked: they take everything.
    """
    if request.provider not in PROVIDERS:
        return list(job_problems(request))
    try:
        provider = make_provider(request.provider, base_url=request.base_url)
    except ConfigError as error:
        return [str(error)]
    return provider.check(request)
