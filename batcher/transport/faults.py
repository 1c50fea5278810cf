"""Which fault of the network is which kind of failure: one table for the HTTP edge."""

import re
import ssl

import aiohttp

from batcher.records import Failure, FailureKind, Scope

_TLS, _LINE, _LATE = FailureKind.TLS, FailureKind.CONNECTION, FailureKind.TIMEOUT
_ODD, _WHERE = FailureKind.BAD_RESPONSE, FailureKind.NOT_FOUND

# First match wins, so subclasses stand before their bases.
_FAULTS: tuple[tuple[type[Exception], FailureKind, str], ...] = (
    (aiohttp.ClientConnectorCertificateError, _TLS, "the server's certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, _TLS, "the TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, _LINE, "the server's name could not be resolved"),
    (aiohttp.ConnectionTimeoutError, _LATE, "connecting took too long"),
    (aiohttp.ClientProxyConnectionError, _LINE, "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, _LINE, "the proxy did not connect"),
    (aiohttp.ClientConnectorError, _LINE, "the server could not be reached"),
    (aiohttp.ServerDisconnectedError, _LINE, "the server closed the connection unanswered"),
    (aiohttp.ClientPayloadError, _LINE, "the connection broke in the middle of the answer"),
    (aiohttp.ClientResponseError, _ODD, "what came back is not HTTP"),
    (aiohttp.InvalidURL, _WHERE, "the base URL is not a URL"),
    (aiohttp.ClientError, _LINE, "the connection failed"),
    (ssl.SSLError, _LINE, "the TLS connection broke"),
    (OSError, _LINE, "the connection failed"),
    (EOFError, _LINE, "the connection ended early"),
    (ValueError, _ODD, "what came back is not HTTP"),
)

_NEEDS_USER = 407
_PROXY_USER = "the proxy refuses the user or password in HTTPS_PROXY or HTTP_PROXY"
_USER_IN_URL = re.compile(r"(://)[^/\s]*@")

NETWORK_FAULTS = (aiohttp.ClientError, OSError, EOFError, ValueError)
"""What the HTTP edge catches; anything else is a bug of ours."""


def failure_of(fault: Exception) -> Failure:
    """The Failure a network fault stands for.

    Raises:
        Exception: The fault itself, when the table does not know it.
    """
    for kind_of_fault, kind, sentence in _FAULTS:
        if isinstance(fault, kind_of_fault):
            detail = _detail(fault)
            scope = Scope.RUN if kind in {_TLS, _WHERE} else Scope.ROW
            what = _PROXY_USER if _wants_user(fault) else sentence
            message = f"{what}: {detail}" if detail else what
            return Failure(kind=kind, scope=scope, message=message)
    raise fault


def _wants_user(fault: Exception) -> bool:
    return isinstance(fault, aiohttp.ClientHttpProxyError) and fault.status == _NEEDS_USER


def _detail(fault: Exception) -> str:
    """What the library says, on one line and without the user and password of any address."""
    if isinstance(fault, aiohttp.ClientResponseError):  # its text quotes the proxy's address
        text = f"{fault.status} {fault.message}".strip()
    else:
        text = str(fault)
    return _USER_IN_URL.sub(r"\1", text.split("\n", 1)[0])[:200]
