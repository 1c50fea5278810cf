"""A stand-in for AWS in a process of its own: moto's server, where it is installed."""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

_SERVE = """
import sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""

needs_moto = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("moto", "flask", "botocore")),
    reason="needs moto's server: pip install -e '.[aws-test]' (make test-all does)",
)


class Moto:
    """Secrets Manager on a port of this machine; use it as a context manager.

    Attributes:
        environment: What makes AWS clients talk to it.
    """

    def __enter__(self) -> "Moto":
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        host, port = self._process.stdout.readline().decode().split()
        self.environment: Mapping[str, str] = {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{host}:{port}",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.terminate()
        self._process.wait()

    def client(self) -> Any:
        import botocore.session

        return botocore.session.Session().create_client(
            "secretsmanager",
            region_name=self.environment["AWS_REGION"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
