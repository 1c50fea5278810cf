"""Which fault of the network is which kind of failure: one table for the HTTP edge."""

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
    (aiohttp.ClientHttpProxyError, _LINE, "the proxy refused to connect"),
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

NETWORK_FAULTS = (aiohttp.ClientError, OSError, EOFError, ValueError)
"""What the HTTP edge catches; anything else is a bug of ours."""


def failure_of(fault: Exception) -> Failure:
    """The Failure a network fault stands for.

    Raises:
        Exception: The fault itself, when the table does not know it.
    """
    for kind_of_fault, kind, sentence in _FAULTS:
        if isinstance(fault, kind_of_fault):
            detail = str(fault).split("\n", 1)[0][:200]
            scope = Scope.RUN if kind in {_TLS, _WHERE} else Scope.ROW
            message = f"{sentence}: {detail}" if detail else sentence
            return Failure(kind=kind, scope=scope, message=message)
    raise fault
