"""Keys kept in AWS Secrets Manager.

Why botocore in a thread (2026-11): a key is read once per `refresh_s`, so nothing is won by an
asynchronous client. aiobotocore pins botocore to a narrow range, over which pip backtracked
for more than ten minutes beside boto3, and takes 0.6 s to import; botocore alone is what both
stand upon.
"""

import asyncio
import os
import threading
from typing import Any

import orjson

from batcher.errors import ConfigError, MissingExtraError
from batcher.secret import Secret
from batcher.secrets.value import as_key

_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 10.0
_ATTEMPTS = 3

_FIXES = {
    "ResourceNotFoundException": "there is no such secret in this region; check ID and AWS_REGION",
    "InvalidRequestException": "it is marked for deletion, or has no current version; restore it",
    "DecryptionFailure": "its KMS key cannot be used; allow kms:Decrypt",
    "AccessDeniedException": "allow secretsmanager:GetSecretValue on it",
    "UnrecognizedClientException": "the AWS credentials are wrong; check them and AWS_PROFILE",
    "InvalidSignatureException": "the AWS credentials are wrong; check them and the clock",
    "ExpiredTokenException": "the AWS session has expired; log in again",
}
_OWN_FIXES = {
    "NoRegionError": "name the region: set AWS_REGION",
    "NoCredentialsError": "there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "ProfileNotFound": "AWS_PROFILE names a profile that does not exist",
}


class AwsSource:
    """`aws-secretsmanager:ID` or `aws-secretsmanager:ID#FIELD`; implements ports.SecretSource.

    Region, endpoint and credentials come from the usual AWS settings: AWS_REGION or
    AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_SECRETS_MANAGER or AWS_ENDPOINT_URL, AWS_PROFILE and
    its files, the machine's role. An ARN names its region itself.

    Args:
        name: Name or ARN of the secret; behind a # the field of a JSON secret.
    """

    is_fixed = False

    def __init__(self, name: str) -> None:
        self._id, _, self._field = name.partition("#")
        self.name = f"the AWS secret {self._id}"
        self._client: Any = None
        self._making = threading.Lock()

    async def get(self) -> Secret:
        """The secret's current version.

        Raises:
            ConfigError: It cannot be read, or holds no key; the message names the fix.
            MissingExtraError: batcher[aws] is not installed.
        """
        return await asyncio.to_thread(self._get)

    def _get(self) -> Secret:
        where = self.name
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise MissingExtraError(
                f"{where} needs the AWS client; install it with: pip install 'batcher[aws]'"
            ) from None
        try:
            # Named although it is the default: a stand-in of AWS answers with an older
            # version otherwise, after a rotation that moved the label (moto 5.2, 2026-11).
            found = self._connected().get_secret_value(SecretId=self._id, VersionStage="AWSCURRENT")
        except ClientError as fault:
            self._client = None  # with it the credentials it has found; they may be mended by then
            code = str(fault.response.get("Error", {}).get("Code", ""))
            raise ConfigError(
                f"{where} cannot be read ({code}); "
                f"{_FIXES.get(code, 'see what AWS says about this error')}"
            ) from None
        except (BotoCoreError, ValueError, OSError) as fault:
            # ValueError: an endpoint that is no URL; OSError: a credentials program that is not
            # there. Texts of none name credentials, but only their first line is of use.
            name = type(fault).__name__
            detail = str(fault).partition("\n")[0][:200]
            fix = _OWN_FIXES.get(name, "check the network, AWS_REGION and AWS_ENDPOINT_URL")
            raise ConfigError(f"{where} cannot be read ({detail}); {fix}") from None
        except Exception as fault:  # noqa: BLE001 - an odd answer breaks the AWS client itself
            self._client = None
            raise ConfigError(
                f"{where} cannot be read ({type(fault).__name__} in the AWS client); "
                "check AWS_ENDPOINT_URL: what answers there is not AWS Secrets Manager"
            ) from None
        if not isinstance(found, dict):
            raise ConfigError(f"{where} cannot be read: what answers is not AWS Secrets Manager")
        return self._key(found, where)

    def _connected(self) -> Any:
        with self._making:
            if self._client is None:
                self._client = _client(self._id)
            return self._client

    def _key(self, found: dict[str, Any], where: str) -> Secret:
        text = found.get("SecretString")
        if text is None:
            blob = found.get("SecretBinary", b"")
            text = blob.decode("utf-8", "replace") if isinstance(blob, bytes) else str(blob)
        if not isinstance(text, str):
            raise ConfigError(f"{where} is no text; store the key as a string")
        if self._field:
            text = self._part(text, where)
            where = f"{where}, field {self._field},"
        elif text.lstrip().startswith("{"):
            raise ConfigError(f"{where} is JSON; name the field that holds the key: ID#FIELD")
        return as_key(text, where=where, fix="put the API key into it")

    def _part(self, text: str, where: str) -> str:
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            raise ConfigError(f"{where} is not JSON; leave out #{self._field}") from None
        value = fields.get(self._field)
        if not isinstance(value, str):
            names = ", ".join(sorted(fields))
            raise ConfigError(f"{where} has no text field {self._field}; it has: {names}")
        return value


def _client(name: str) -> Any:
    import botocore.config
    import botocore.session

    parts = name.split(":")
    is_arn = len(parts) > 6 and parts[0] == "arn"
    return botocore.session.Session().create_client(
        "secretsmanager",
        # botocore itself reads AWS_DEFAULT_REGION and profiles only.
        region_name=parts[3] if is_arn else os.environ.get("AWS_REGION") or None,
        config=botocore.config.Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
        ),
    )
