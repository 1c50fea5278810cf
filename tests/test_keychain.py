"""Which keys a run has, what they are called, and what is known of their quotas."""

import pytest

from batcher.errors import ConfigError
from batcher.job import Job, Limits, ProviderName
from batcher.keychain import KeySetting, find_keys, make_ceiling, make_keyring, make_sharing
from batcher.policy.limiter import Limiter
from batcher.providers.catalogue import defaults_of
from batcher.providers.wire import normal_base_url
from batcher.records import AuthStyle, Bucket

ANTHROPIC = defaults_of(ProviderName.ANTHROPIC)
OPENAI = defaults_of(ProviderName.OPENAI)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def keys(job: Job | None = None, defaults=ANTHROPIC, base_url: str | None = None):
    url = base_url or normal_base_url(defaults.base_url)
    return find_keys(job or Job(), base_url=url, auth=defaults.auth, defaults=defaults)


def aliases(found: list[KeySetting]) -> list[str]:
    return [key.ref.alias for key in found]


class TestEnvironment:
    def test_numbered_variables_are_keys_of_their_own(self, monkeypatch) -> None:
        for name in ("_10", "_2", "", "_3", "_OLD", "_02"):
            monkeypatch.setenv(f"ANTHROPIC_API_KEY{name}", "x")
        found = keys()

        assert aliases(found) == [
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_API_KEY_2",
            "ANTHROPIC_API_KEY_3",
            "ANTHROPIC_API_KEY_10",
        ]
        assert len({key.ref.scope for key in found}) == 4

    def test_each_vendor_has_its_own(self, monkeypatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY_2", "x")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "x")

        assert aliases(keys(defaults=OPENAI)) == ["OPENAI_API_KEY_2"]

    def test_a_blank_one_is_none_and_the_next_kind_is_looked_for(self, monkeypatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", " ")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "x")
        (found,) = keys()

        assert (found.ref.alias, found.auth) == ("ANTHROPIC_AUTH_TOKEN", AuthStyle.BEARER)

    def test_without_any_the_vendor_is_refused_and_another_server_asked_bare(self) -> None:
        with pytest.raises(ConfigError, match="set ANTHROPIC_API_KEY or"):
            keys()
        (found,) = keys(base_url="http://127.0.0.1:8080")
        assert found.source is None


class TestJob:
    def test_what_a_key_says_is_kept(self) -> None:
        job = Job(
            keys=[
                {
                    "source": "env:A",
                    "alias": "night",
                    "scope": "org",
                    "weight": 2,
                    "base_url": "http://gate/v1/",
                    "requests_per_minute": 600,
                    "output_tokens_per_minute": 5,
                    "active": "22:00-06:00",
                    "time_zone": "Europe/Berlin",
                    "refresh_s": 7,
                }
            ]
        )
        (key,) = keys(job)

        assert (key.ref.alias, key.ref.scope, key.ref.weight) == ("night", "org", 2)
        assert key.ref.base_url == "http://gate"
        assert key.stated == {Bucket.REQUESTS: 600, Bucket.OUTPUT: 5}
        assert key.refresh_s == 7
        assert key.window is not None
        assert str(key.window.zone) == "Europe/Berlin"

    def test_left_out_it_has_a_scope_of_its_own_and_the_requests_server(self) -> None:
        (key,) = keys(Job(keys=[{"source": "env:A"}]), base_url="http://x")

        assert (key.ref.alias, key.ref.scope, key.ref.base_url) == ("A", "A", "http://x")
        assert key.window is None

    def test_names_made_from_sources_are_told_apart_and_hold_no_arguments(self) -> None:
        sources = [
            "file:/run/a/key",
            "file:/run/b/key",
            "command:/usr/bin/pass show secret/thing",
            "command:pass show other",
            "aws-secretsmanager:prod/claude#api_key",
            "env:N",
        ]
        listed = [{"source": source} for source in sources]

        assert aliases(keys(Job(keys=[*listed, {"source": "env:M", "alias": "N"}]))) == [
            "key", "key-2", "pass", "pass-2", "claude#api_key", "N-2", "N",
        ]  # fmt: skip

    def test_a_server_that_is_no_web_address_is_blamed_on_its_key(self) -> None:
        job = Job(keys=[{"source": "env:A", "base_url": "nonsense"}])

        with pytest.raises(ConfigError, match="the base_url of key A is 'nonsense'"):
            keys(job)


class TestKeyring:
    def limiters(self, limits: Limits, *listed: dict[str, object]) -> dict[str, Limiter]:
        ring = make_keyring(keys(Job(keys=listed)), limits)
        return {alias: ring._keys[alias].controller for alias in ring._keys}  # type: ignore[misc]

    def test_keys_of_one_scope_share_one_controller(self) -> None:
        found = self.limiters(
            Limits(),
            {"source": "env:A", "scope": "s"},
            {"source": "env:B", "scope": "s"},
            {"source": "env:C"},
        )

        assert found["A"] is found["B"]
        assert found["A"] is not found["C"]

    def test_a_scopes_quota_is_stated_to_its_controller_alone(self) -> None:
        found = self.limiters(
            Limits(),
            {"source": "env:A", "scope": "s", "requests_per_minute": 60},
            {"source": "env:B", "scope": "s"},
            {"source": "env:C"},
        )

        assert found["B"]._limits.known[0].rate == 1.0
        assert found["C"]._limits.known == []

    def test_the_jobs_limit_on_tokens_is_kept_once_not_per_scope(self) -> None:
        limits = Limits(output_tokens_per_minute=600)
        one: dict[str, object] = {"source": "env:A"}
        two: dict[str, object] = {"source": "env:B"}

        assert self.limiters(limits, one)["A"]._limits.known[0].rate == 10.0
        assert make_ceiling(keys(Job(keys=[one])), limits) is None
        assert self.limiters(limits, one, two)["A"]._limits.known == []
        assert make_ceiling(keys(Job(keys=[one, two])), limits) is not None

    def test_sharing_is_looked_for_only_between_scopes(self) -> None:
        one = {"source": "env:A", "scope": "s"}

        assert make_sharing(keys(Job(keys=[one, {"source": "env:B", "scope": "s"}]))) is None
        assert make_sharing(keys(Job(keys=[one, {"source": "env:B"}]))) is not None
