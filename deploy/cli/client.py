"""One person at one installation, through its gateway, as any client.

gRPC and the contracts are imported with the first call: what asks nobody starts without them.
"""

import contextlib
import functools
import inspect
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from deploy.cli import credentials, place, screen
from deploy.cli.credentials import Credentials
from deploy.cli.options import DIRECTORY, Directory, Url, is_uuid
from deploy.cli.place import Place
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
    from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub
    from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
    from meno.identity.v1.auth_service_pb2 import Tokens
    from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
    from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
    from meno.identity.v1.user_service_pb2 import User
    from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

Request = TypeVar("Request", bound="Message")
Reply = TypeVar("Reply", bound="Message")
Options = ParamSpec("Options")

_PATIENCE = 30.0
_STREAM_PATIENCE = 3600.0
_PAGE = 200
# A token that ends meanwhile, or claims what its person has lost: another one will do.
_TOKEN_ENDED = frozenset({"TOKEN_EXPIRED", "TOKEN_REVOKED", "TOKEN_INVALID"})
_DENIED = "ACCESS_DENIED"
_RIGHTS = ("role", "guest", "classes", "archived")
_SHORT_WAIT = 5
"""Seconds that are waited out, where a call asks for no more."""
_MOST_WAITS = 3
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_metadata_size", 32 * 2**10),
    ("grpc.primary_user_agent", "meno-cli"),
    (
        "grpc.service_config",
        # Every write has a request_id, so that a repetition is safe.
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.2s",
                            "maxBackoff": "2s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        ),
    ),
)


class Client:
    """Calls on behalf of whoever is signed in."""

    def __init__(self, at: Place) -> None:
        self.place = at

    @functools.cached_property
    def channel(self) -> "grpc.Channel":
        """To the gateway."""
        import grpc

        if self.place.scheme == "http":
            return grpc.insecure_channel(self.place.target, options=_CHANNEL_OPTIONS)
        secured = grpc.ssl_channel_credentials()
        return grpc.secure_channel(self.place.target, secured, options=_CHANNEL_OPTIONS)

    @functools.cached_property
    def auth(self) -> "AuthServiceStub":
        """Signing in and out."""
        from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub

        return AuthServiceStub(self.channel)

    @functools.cached_property
    def users(self) -> "UserServiceStub":
        """People."""
        from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

        return UserServiceStub(self.channel)

    @functools.cached_property
    def classes(self) -> "ClassServiceStub":
        """Classes."""
        from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub

        return ClassServiceStub(self.channel)

    @functools.cached_property
    def admin(self) -> "AdminServiceStub":
        """Configuration and models."""
        from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub

        return AdminServiceStub(self.channel)

    @functools.cached_property
    def audit(self) -> "AuditServiceStub":
        """The chain of audit entries."""
        from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub

        return AuditServiceStub(self.channel)

    @functools.cached_property
    def keys(self) -> "KeySetServiceStub":
        """The keys that verify tokens."""
        from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub

        return KeySetServiceStub(self.channel)

    def call(self, rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]", request: Request) -> Reply:
        """Makes a call as whoever is signed in. Raises CliError."""
        _named(request)
        with self._translated():
            try:
                return self._answer(rpc, request, self._authorization())
            except self._error as error:
                refused = self._token_ended(error)
        with self._translated():
            return self._answer(rpc, request, self._authorization(refused))

    def public(self, rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]", request: Request) -> Reply:
        """Makes a call that needs no sign-in. Raises CliError."""
        _named(request)
        with self._translated():
            return self._answer(rpc, request)

    def stream(
        self, rpc: "grpc.UnaryStreamMultiCallable[Request, Reply]", request: Request
    ) -> Iterator[Reply]:
        """Yields what a call streams. Raises CliError."""
        with self._translated():
            steps, first = self._begun(rpc, request)
            if first is not None:
                yield first
                yield from steps

    def pages(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]",
        request: Any,
        items: Callable[[Reply], Any],
        limit: int,
    ) -> Iterator[Any]:
        """Yields the items of a list, page by page; a limit of 0 is all of them. Raises CliError."""
        left = limit
        while True:
            request.page_size = min(left, _PAGE) if limit else _PAGE
            page: Any = self.call(rpc, request)
            yield from items(page)
            left -= len(items(page))
            if not page.next_page_token or (limit and left <= 0):
                return
            request.page_token = page.next_page_token

    def person(self, who: str) -> "User":
        """A person by what they sign in with, also one who was deleted. Raises CliError."""
        from meno.identity.v1.user_service_pb2 import ListUsersRequest

        # Nobody is looked for by nothing: everybody would be found.
        request = ListUsersRequest(identifier=who, show_deleted=True)
        found = self.call(self.users.ListUsers, request).users if who.strip() else ()
        if not found:
            raise CliError(f'nobody signs in as "{who}": `meno user list` shows what people sign in with')
        return found[0]

    def user(self, who: str) -> "User":
        """A person by their id or by a name; `me` is who is signed in. Raises CliError."""
        from meno.identity.v1.user_service_pb2 import GetUserRequest

        if is_user_id(who):
            return self.call(self.users.GetUser, GetUserRequest(user_id=self.user_id(who)))
        return self.person(who)

    def user_id(self, who: str) -> str:
        """The id of a person, by that or by a name; `me` is who is signed in. Raises CliError."""
        if who == "me":
            return self.signed_in.user_id
        return who.lower() if is_user_id(who) else self.person(who).user_id

    @property
    def signed_in(self) -> Credentials:
        """Who is signed in. Raises CliError where nobody is."""
        held = credentials.load(self.place.credentials)
        if held is None:
            raise CliError(f"nobody is signed in at {self.place.url}: `meno sign-in NAME`")
        return held

    def sign_in(self, name: str, tokens: "Tokens") -> None:
        """Remembers who is signed in."""
        with credentials.locked(self.place.credentials):
            self._keep(name, tokens)

    def token(self, refused: str = "") -> str:
        """An access token that holds, and is another one than `refused`. Raises CliError."""
        held = self.signed_in
        if held.fresh and held.access_token != refused:
            return held.access_token
        with credentials.locked(self.place.credentials):
            # Another command may have refreshed it meanwhile.
            held = self.signed_in
            if held.fresh and held.access_token != refused:
                return held.access_token
            return self._refreshed(held)

    def renew(self) -> None:
        """Fetches a token with the rights that were added just now. Raises CliError."""
        self.token(refused=self.signed_in.access_token)

    def close(self) -> None:
        """Ends the connection."""
        if "channel" in self.__dict__:
            self.channel.close()

    def _refreshed(self, held: Credentials) -> str:
        from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest

        try:
            tokens = self.public(
                self.auth.RefreshTokens, RefreshTokensRequest(refresh_token=held.refresh_token)
            )
        except CliError as problem:
            if getattr(problem, "reason", "") == "REFRESH_TOKEN_INVALID":
                self.place.credentials.unlink(missing_ok=True)
                raise CliError(
                    f"the sign-in of {held.name} has ended: `meno sign-in {held.name}`"
                ) from problem
            raise
        return self._keep(held.name, tokens)

    def _keep(self, name: str, tokens: "Tokens") -> str:
        expires = tokens.access_token_expire_time.seconds
        # By the clock of this machine, whatever the other's says.
        lifetime = expires - _issued(tokens.access_token, expires)
        kept = Credentials(
            tokens.user.user_id, name, tokens.refresh_token, tokens.access_token, time.time() + lifetime
        )
        credentials.save(self.place.credentials, kept)
        return tokens.access_token

    def _answer(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]",
        request: Request,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """What a call returns, after the short waits that it may ask for."""
        from deploy.cli import refusals

        for _ in range(_MOST_WAITS):
            try:
                return rpc(request, timeout=_PATIENCE, metadata=metadata)
            except self._error as error:
                wait = refusals.wait(error)
                if not 0 < wait <= _SHORT_WAIT:
                    raise
            screen.errors.print(f"waiting {wait} s", style="dim")
            time.sleep(wait)
        return rpc(request, timeout=_PATIENCE, metadata=metadata)

    def _begun(self, rpc: Any, request: Any) -> tuple[Iterator[Any], Any]:
        """A stream with its first step, for until then a token may turn out to have ended."""
        try:
            steps = rpc(request, timeout=_STREAM_PATIENCE, metadata=self._authorization())
            return steps, next(steps, None)
        except self._error as error:
            refused = self._token_ended(error)
        steps = rpc(request, timeout=_STREAM_PATIENCE, metadata=self._authorization(refused))
        return steps, next(steps, None)

    def _authorization(self, refused: str = "") -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token(refused)}"),)

    def _token_ended(self, error: Exception) -> str:
        """The token that was refused. Raises the error where another one would be refused as well."""
        from deploy.cli import refusals

        why, held = refusals.reason(error), self.signed_in.access_token
        # Somebody may have been given a right since their token was issued.
        gained = why == _DENIED and _rights(self.token(refused=held)) != _rights(held)
        if not gained and why not in _TOKEN_ENDED:
            raise error
        return held

    @property
    def _error(self) -> type[Exception]:
        import grpc

        return grpc.RpcError

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            from deploy.cli import refusals

            raise refusals.problem(error, self.place) from error


def connected(command: Callable[Concatenate[Client, Options], None]) -> Callable[..., None]:
    """Gives a command its client, and the options that say where that leads."""
    signature = inspect.signature(command)
    own = [*signature.parameters.values()][1:]
    kind = inspect.Parameter.KEYWORD_ONLY
    where = [
        inspect.Parameter("url", kind, default="", annotation=Url),
        inspect.Parameter("directory", kind, default=DIRECTORY, annotation=Directory),
    ]

    @functools.wraps(command)
    def run(*, url: str, directory: Path, **options: Any) -> None:
        client = Client(place.find(url, directory))
        try:
            command(client, **options)  # type: ignore[call-arg]
        finally:
            client.close()

    parameters = [one.replace(kind=kind) for one in own] + where
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return run


def is_user_id(text: str) -> bool:
    """Whether a text is an id, or `me`."""
    return text == "me" or is_uuid(text)


def _named(request: Any) -> None:
    """Gives a write the id that makes its repetition safe."""
    if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
        request.request_id = str(uuid.uuid4())


def _rights(token: str) -> list[Any]:
    from deploy.cli.claims import read

    claims = read(token).claims
    return [claims.get(name) for name in _RIGHTS]


def _issued(token: str, otherwise: int) -> int:
    from deploy.cli.claims import read

    try:
        return int(read(token).claims["iat"])
    except (KeyError, ValueError, TypeError):
        return otherwise
