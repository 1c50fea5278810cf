"""The wire formats, their defaults, and the check of a job's settings."""

import pytest

from batcher.job import ProviderName, Request
from batcher.providers.catalogue import PROVIDERS, check, defaults_of, make_provider
from batcher.providers.wire import normal_base_url
from batcher.records import AuthStyle


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_calls_itself_as_the_job_does(name: ProviderName) -> None:
    assert make_provider(name).name == name
    assert make_provider(name, base_url="http://localhost:8000/v1").name == name


def test_keys_travel_as_each_vendor_documents_it() -> None:
    found = {name: (defaults_of(name).auth, [*defaults_of(name).key_envs]) for name in PROVIDERS}
    bearer, x_api_key = AuthStyle.BEARER, AuthStyle.X_API_KEY

    assert found == {
        "anthropic": (
            x_api_key,
            [("ANTHROPIC_API_KEY", x_api_key), ("ANTHROPIC_AUTH_TOKEN", bearer)],
        ),
        "anthropic-complete": (
            bearer,
            [("ANTHROPIC_API_KEY", bearer), ("ANTHROPIC_AUTH_TOKEN", bearer)],
        ),
        "openai": (bearer, [("OPENAI_API_KEY", bearer)]),
    }


@pytest.mark.parametrize("name", PROVIDERS)
def test_default_servers_are_written_in_the_normal_form(name: ProviderName) -> None:
    defaults = defaults_of(name)

    assert normal_base_url(defaults.base_url) == defaults.base_url
    assert defaults.base_url_env in {"ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"}


def test_the_check_names_every_mistake_of_a_job() -> None:
    bad = Request(model="claude-opus-5", temperature=0.5, extra={"model": "x"})
    assert [problem.partition(":")[0] for problem in check(bad)] == [
        "request.extra names model",
        "request.temperature",
    ]
    assert "http" in check(Request(base_url="localhost:8000"))[0]
    own = Request(provider=ProviderName.SIMULATED, headers={"x-api-key": "k"}, temperature=0.5)
    assert [problem.partition(":")[0] for problem in check(own)] == [
        "request.headers names x-api-key"
    ]
    assert check(Request()) == []
