"""Asks a backend which models it has, and says in words what keeps it from answering.

What is said is ours alone: neither the key nor anything that the backend answered is in it.
"""

import asyncio
import json
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from chassis.models import addresses, keys
from chassis.models.addresses import AddressRefused
from chassis.models.keys import KeyUnusable
from identity_service.administration.models.backend_store import Backend
from identity_service.administration.models.protocols import PROTOCOLS, Protocol
from identity_service.administration.models.rules import BUILTIN, BUILTIN_MODELS, Reach

if TYPE_CHECKING:
    import httpx2

SECONDS = 10.0
"""So long a test takes at most."""
MAX_BYTES = 2**20
"""Of an answer."""

_STATUSES = {
    401: "refuses the key: see that it is right, and the provider the one that it was made for",
    403: "does not let this key list models: give it that right, or use another",
    404: "has no list of models there: base_url ends before /models, as https://api.openai.com/v1 does",
    429: "answers no more for now: wait, or see whether the account is paid for",
}


class Outcome(NamedTuple):
    """How it went."""

    problem: str
    """Empty where it went well."""
    model_names: list[str]
    milliseconds: int


class Problem(Exception):
    """What is wrong, and what to do."""


async def ask(backend: Backend, reach: Reach) -> Outcome:
    """Asks a backend, whether or not it is enabled."""
    began = time.perf_counter()
    problem, names = "", list[str]()
    try:
        async with asyncio.timeout(SECONDS):
            names = await _names(backend, reach)
    except Problem as found:
        problem = str(found)
    except TimeoutError:
        problem = f"The backend did not answer within {SECONDS:.0f} seconds. See whether base_url is right."
    return Outcome(problem, names, round((time.perf_counter() - began) * 1000))


async def _names(backend: Backend, reach: Reach) -> list[str]:
    if backend.provider == BUILTIN:
        return [*BUILTIN_MODELS]
    protocol = PROTOCOLS[backend.provider]
    url = protocol.url(backend.base_url)
    try:
        addresses.check(url, reach.private_hosts)
        key = keys.read(backend.key_reference, reach.key_directory)
    except AddressRefused as error:
        raise Problem(f"base_url {error}.") from error
    except KeyUnusable as error:
        raise Problem(
            f"The key cannot be read: {error}. It is looked for where identity_service runs."
        ) from error
    names = protocol.names(await _answer(protocol, url, key, reach), key)
    if names is None:
        raise Problem("What answers there does not speak the provider's protocol. See provider and base_url.")
    return names


async def _answer(protocol: Protocol, url: str, key: str, reach: Reach) -> Any:
    """What is answered, read as JSON. Raises Problem."""
    # Loading the client and the certificates that it trusts takes a while.
    transport = await asyncio.to_thread(_way_out, reach.private_hosts)
    import httpx2

    try:
        async with (
            httpx2.AsyncClient(transport=transport, timeout=SECONDS, trust_env=False) as client,
            client.stream("GET", url, headers=protocol.asking(key), follow_redirects=False) as response,
        ):
            _check_status(response.status_code, key)
            return json.loads(await _body(response))
    except httpx2.TimeoutException as error:
        raise TimeoutError from error
    except (httpx2.HTTPError, ssl.SSLError) as error:
        raise Problem(_why(error)) from error
    except (ValueError, RecursionError) as error:
        raise Problem("What answers there does not answer with JSON. See provider and base_url.") from error


def _way_out(private_hosts: frozenset[str]) -> "httpx2.AsyncBaseTransport":
    from chassis.models.outward import Outward

    return Outward(private_hosts)


async def _body(response: "httpx2.Response") -> bytes:
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_BYTES:
            raise Problem("The list of models is longer than any is. See whether base_url is right.")
    return body


def _check_status(status: int, key: str) -> None:
    if status == 200:
        return
    if status in (401, 403) and not key:
        raise Problem("The backend asks for a key. Set key_reference to where it is.")
    if 300 <= status < 400:
        raise Problem("The backend sends elsewhere. Set base_url to the address that it is at.")
    said = _STATUSES.get(status) or (
        "has a fault of its own: try again later" if status >= 500 else "does not understand the question"
    )
    raise Problem(f"The backend answers with status {status}: it {said}.")


def _why(error: BaseException) -> str:
    """What kept the backend from being reached."""
    import httpx2

    from chassis.models.outward import HostUnknown, LeadsInside

    if isinstance(error, LeadsInside):
        return (
            "The host's name leads into the house. An operator names such hosts in MENO_PRIVATE_MODEL_HOSTS."
        )
    if isinstance(error, HostUnknown):
        return "Nobody knows the host's name. See whether base_url is right."
    if _is_tls(error):
        return "The backend cannot be trusted: its certificate is not valid for this host here, or it speaks no TLS."
    if isinstance(error, httpx2.ConnectError):
        return "Nothing answers at that host and port. See whether base_url is right and the backend runs."
    return "The backend broke off, or does not speak HTTP. See whether base_url is right."


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
