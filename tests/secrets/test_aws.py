"""AWS Secrets Manager as a place of keys, against a server that plays it."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from batcher.errors import ConfigError, MissingExtraError
from batcher.secrets.aws import AwsSource
from tests.support.aws import Moto, needs_moto

CANARY = "canary-aws-51d0-do-not-show"


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture
def aws(moto: Moto, monkeypatch) -> Any:
    """A client of an AWS whose settings stand in this process's environment."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return moto.client()


async def complaint(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        await AwsSource(name).get()
    assert CANARY not in str(caught.value)
    return str(caught.value)


@needs_moto
class TestReading:
    async def test_a_secret_that_is_the_key(self, aws) -> None:
        arn = aws.create_secret(Name="team/plain", SecretString=CANARY)["ARN"]

        assert (await AwsSource("team/plain").get()).reveal() == CANARY
        assert (await AwsSource(arn).get()).reveal() == CANARY

    async def test_a_field_of_a_json_secret(self, aws) -> None:
        aws.create_secret(Name="team/json", SecretString=f'{{"api_key": "{CANARY}", "n": 1}}')

        assert (await AwsSource("team/json#api_key").get()).reveal() == CANARY
        assert "name the field" in await complaint("team/json")
        assert "has no text field key; it has: api_key, n" in await complaint("team/json#key")
        assert "has no text field n" in await complaint("team/json#n")

    async def test_a_binary_secret(self, aws) -> None:
        aws.create_secret(Name="team/binary", SecretBinary=CANARY.encode())

        assert (await AwsSource("team/binary").get()).reveal() == CANARY

    async def test_a_rotated_secret_is_read_anew(self, aws) -> None:
        aws.create_secret(Name="team/rotated", SecretString="the-old-one")
        source = AwsSource("team/rotated")
        await source.get()
        aws.put_secret_value(SecretId="team/rotated", SecretString=CANARY)

        assert (await source.get()).reveal() == CANARY

    async def test_a_version_that_is_still_pending_is_not_taken(self, aws) -> None:
        aws.create_secret(Name="team/pending", SecretString=CANARY)
        aws.put_secret_value(
            SecretId="team/pending", SecretString="not-yet", VersionStages=["AWSPENDING"]
        )

        assert (await AwsSource("team/pending").get()).reveal() == CANARY

    async def test_a_label_that_was_moved_is_followed(self, aws) -> None:
        old = aws.create_secret(Name="team/moved", SecretString="the-old-one")["VersionId"]
        new = aws.put_secret_value(
            SecretId="team/moved", SecretString=CANARY, VersionStages=["AWSPENDING"]
        )["VersionId"]
        aws.update_secret_version_stage(
            SecretId="team/moved",
            VersionStage="AWSCURRENT",
            MoveToVersionId=new,
            RemoveFromVersionId=old,
        )

        assert (await AwsSource("team/moved").get()).reveal() == CANARY


@needs_moto
class TestMistakes:
    async def test_an_unknown_secret(self, aws) -> None:
        assert "there is no such secret in this region" in await complaint("team/nothing")

    async def test_a_field_of_what_is_no_json(self, aws) -> None:
        aws.create_secret(Name="team/text", SecretString=CANARY)

        assert "is not JSON; leave out #a" in await complaint("team/text#a")

    async def test_a_deleted_one(self, aws) -> None:
        aws.create_secret(Name="team/deleted", SecretString=CANARY)
        aws.delete_secret(SecretId="team/deleted")

        assert "marked for deletion" in await complaint("team/deleted")

    async def test_no_region(self, aws, monkeypatch) -> None:
        monkeypatch.delenv("AWS_REGION")

        assert "set AWS_REGION" in await complaint("team/plain")

    async def test_no_credentials(self, aws, monkeypatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

        assert "there are no AWS credentials" in await complaint("team/plain")

    async def test_an_unknown_profile(self, aws, monkeypatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")

        assert "AWS_PROFILE names a profile that does not exist" in await complaint("team/plain")

    async def test_an_endpoint_that_is_not_there(self, aws, monkeypatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

        assert "check the network" in await complaint("team/plain")


async def test_without_the_extra_it_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)

    with pytest.raises(MissingExtraError, match=r"batcher\[aws\]"):
        await AwsSource("team/plain").get()
