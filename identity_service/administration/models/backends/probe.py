"""Tests a backend by requesting its list of models, and explains failures to the administrator.

The explanations are fixed texts. They contain neither the key nor any part of the response.
"""

import asyncio
import json
import ssl
import time
from typing import TYPE_CHECKING, Any

from chassis import secret_refs, url_policy
from chassis.secret_refs import SecretUnavailable
from chassis.url_policy import UrlNotAllowed
from identity_service.administration.models.backends.protocols import PROTOCOLS, Protocol
from identity_service.administration.models.backends.rules import BUILTIN, BUILTIN_MODELS
from identity_service.administration.models.backends.types import BackendFields, EgressPolicy, ProbeResult

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS = 10.0
"""The maximum duration of a test."""
MAX_BYTES = 2**20
"""The maximum size of a response."""

_STATUSES = {
    401: "it rejects the key. Check the key and the provider",
    403: "this key may not list models. Grant that permission or use another key",
    404: "it has no list of models at this URL. base_url must end before /models, as in https://api.openai.com/v1",
    429: "too many requests. Wait, or check the quota and the billing of the account",
}


class ProbeError(Exception):
    """The test failed; the message states the cause and what to do."""


async def probe(backend: BackendFields, policy: EgressPolicy) -> ProbeResult:
    """Requests the list of models of a backend, whether or not the backend is enabled."""
    start = time.perf_counter()
    problem, names = "", list[str]()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            names = await _list_models(backend, policy)
    except ProbeError as error:
        problem = str(error)
    except TimeoutError:
        problem = f"The backend did not respond within {TIMEOUT_SECONDS:.0f} seconds. Check base_url."
    return ProbeResult(problem, names, time.perf_counter() - start)


async def _list_models(backend: BackendFields, policy: EgressPolicy) -> list[str]:
    if backend.provider == BUILTIN:
        return [*BUILTIN_MODELS]
    protocol = PROTOCOLS[backend.provider]
    url = protocol.url(backend.base_url)
    # The rules were checked when the backend was stored. They are checked again, because the policy can change.
    try:
        url_policy.check(url, policy.private_hosts)
        key = secret_refs.read(backend.key_reference, policy.key_directory)
    except UrlNotAllowed as error:
        raise ProbeError(f"base_url {error}.") from error
    except SecretUnavailable as error:
        raise ProbeError(f"identity_service cannot read key_reference: {error}.") from error
    names = protocol.parse_names(await _request(protocol, url, key, policy), key)
    if names is None:
        raise ProbeError(
            "The response does not match the protocol of the provider. Check provider and base_url."
        )
    return names


async def _request(protocol: Protocol, url: str, key: str, policy: EgressPolicy) -> Any:
    """Returns the response as JSON. Raises ProbeError or TimeoutError."""
    # In a thread, because importing the HTTP client and loading the CA certificates blocks.
    transport = await asyncio.to_thread(_transport, policy.private_hosts)
    import httpx2

    try:
        async with (
            httpx2.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, trust_env=False) as client,
            client.stream("GET", url, headers=protocol.headers(key), follow_redirects=False) as response,
        ):
            _check_status(response.status_code, key)
            return json.loads(await _read_body(response))
    except httpx2.TimeoutException as error:
        raise TimeoutError from error
    except (httpx2.HTTPError, ssl.SSLError) as error:
        raise ProbeError(_describe(error)) from error
    # RecursionError: deeply nested JSON.
    except (ValueError, RecursionError) as error:
        raise ProbeError("The response is not JSON. Check provider and base_url.") from error


def _transport(private_hosts: frozenset[str]) -> "httpx2.AsyncBaseTransport":
    from chassis.safe_http import PublicAddressTransport

    return PublicAddressTransport(private_hosts)


async def _read_body(response: "httpx2.Response") -> bytes:
    """Returns the body without decompressing it, because a small body can decompress to any size."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise ProbeError("The list of models is larger than 1 MiB. Check base_url.")
    return body


def _check_status(status: int, key: str) -> None:
    if status == 200:
        return
    if status in (401, 403) and not key:
        raise ProbeError("The backend requires a key. Set key_reference.")
    if 300 <= status < 400:
        raise ProbeError("The backend redirects to another address. Set base_url to that address.")
    cause = _STATUSES.get(status) or (
        "it has an internal error. Try again later" if status >= 500 else "it does not support this API"
    )
    raise ProbeError(f"The backend responds with HTTP {status}: {cause}.")


def _describe(error: BaseException) -> str:
    """Returns why the backend could not be reached."""
    import httpx2

    from chassis.safe_http import NameResolutionError, PrivateAddressError

    if isinstance(error, PrivateAddressError):
        return (
            "The host name resolves to a private address. An operator can allow the host in "
            "MENO_PRIVATE_MODEL_HOSTS."
        )
    if isinstance(error, NameResolutionError):
        return "The host name cannot be resolved. Check base_url."
    if _is_tls(error):
        return "The TLS connection failed: the certificate is not valid for this host, or the server does not use TLS."
    if isinstance(error, httpx2.ConnectError):
        return "The connection was refused. Check the host and port in base_url, and whether the backend is running."
    return "The backend closed the connection or does not use HTTP. Check base_url."


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
