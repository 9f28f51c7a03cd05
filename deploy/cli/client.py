"""A client of the gateway with the stored sign-in of the user.

gRPC and the contracts are imported at the first call, so that commands without a call start faster.
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

from deploy.cli import credentials, output
from deploy.cli.credentials import Credentials
from deploy.cli.options import DIRECTORY, Directory, Url, is_uuid
from deploy.cli.target import Target, find_target
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
    from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub
    from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
    from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
    from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
    from meno.identity.v1.resources_pb2 import Tokens, User
    from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

Request = TypeVar("Request", bound="Message")
Reply = TypeVar("Reply", bound="Message")
Options = ParamSpec("Options")

_TIMEOUT_SECONDS = 30.0
_STREAM_TIMEOUT_SECONDS = 3600.0
_PAGE_SIZE = 200
# After these errors, the call succeeds with a new token.
_TOKEN_ERRORS = frozenset({"TOKEN_EXPIRED", "TOKEN_REVOKED", "TOKEN_INVALID"})
_DENIED = "ACCESS_DENIED"
_RIGHTS_CLAIMS = ("role", "guest", "classes", "archived")
_MAX_RETRY_DELAY_SECONDS = 5
"""A rate-limited call is repeated if it asks for at most this delay."""
_MAX_RETRIES = 3
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_metadata_size", 32 * 2**10),
    ("grpc.primary_user_agent", "meno-cli"),
    (
        "grpc.service_config",
        # Retries are safe because every write has a request_id.
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
    """Calls an installation with the stored sign-in."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @functools.cached_property
    def channel(self) -> "grpc.Channel":
        """The channel to the gateway."""
        import grpc

        if self.target.scheme == "http":
            return grpc.insecure_channel(self.target.grpc_address, options=_CHANNEL_OPTIONS)
        secured = grpc.ssl_channel_credentials()
        return grpc.secure_channel(self.target.grpc_address, secured, options=_CHANNEL_OPTIONS)

    @functools.cached_property
    def auth(self) -> "AuthServiceStub":
        """AuthService."""
        from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub

        return AuthServiceStub(self.channel)

    @functools.cached_property
    def users(self) -> "UserServiceStub":
        """UserService."""
        from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

        return UserServiceStub(self.channel)

    @functools.cached_property
    def classes(self) -> "ClassServiceStub":
        """ClassService."""
        from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub

        return ClassServiceStub(self.channel)

    @functools.cached_property
    def admin(self) -> "AdminServiceStub":
        """AdminService."""
        from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub

        return AdminServiceStub(self.channel)

    @functools.cached_property
    def audit(self) -> "AuditServiceStub":
        """AuditService."""
        from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub

        return AuditServiceStub(self.channel)

    @functools.cached_property
    def keys(self) -> "KeySetServiceStub":
        """KeySetService."""
        from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceStub

        return KeySetServiceStub(self.channel)

    def call(self, rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]", request: Request) -> Reply:
        """Makes a call with the stored sign-in. Raises CliError if it fails."""
        _set_request_id(request)
        with self._translate_errors():
            try:
                return self._call_with_retries(rpc, request, self._authorization())
            except self._error as error:
                rejected = self._rejected_token(error)
        with self._translate_errors():
            return self._call_with_retries(rpc, request, self._authorization(rejected))

    def call_public(self, rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]", request: Request) -> Reply:
        """Makes a call without a sign-in. Raises CliError if it fails."""
        _set_request_id(request)
        with self._translate_errors():
            return self._call_with_retries(rpc, request)

    def stream(
        self, rpc: "grpc.UnaryStreamMultiCallable[Request, Reply]", request: Request
    ) -> Iterator[Reply]:
        """Yields the messages of a streaming call. Raises CliError if it fails."""
        with self._translate_errors():
            steps, first = self._open_stream(rpc, request)
            if first is not None:
                yield first
                yield from steps

    def list_all(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]",
        request: Any,
        items: Callable[[Reply], Any],
        limit: int,
    ) -> Iterator[Any]:
        """Yields the items of all pages, up to a limit; 0 means no limit. Raises CliError if a call fails."""
        left = limit
        while True:
            request.page_size = min(left, _PAGE_SIZE) if limit else _PAGE_SIZE
            page: Any = self.call(rpc, request)
            yield from items(page)
            left -= len(items(page))
            if not page.next_page_token or (limit and left <= 0):
                return
            request.page_token = page.next_page_token

    def find_user(self, who: str) -> "User":
        """Returns the user, even a deleted one, with a sign-in identifier. Raises CliError if there is none."""
        from meno.identity.v1.user_service_pb2 import ListUsersRequest

        # An empty identifier would match every user.
        request = ListUsersRequest(identifier=who, show_deleted=True)
        found = self.call(self.users.ListUsers, request).users if who.strip() else ()
        if not found:
            raise CliError(f'there is no user "{who}": list the users with `meno user list`')
        return found[0]

    def get_user(self, who: str) -> "User":
        """Returns the user with an id or a sign-in identifier. Raises CliError if there is none.

        `me` means the signed-in user.
        """
        from meno.identity.v1.user_service_pb2 import GetUserRequest

        if is_user_id(who):
            return self.call(self.users.GetUser, GetUserRequest(user_id=self.resolve_user_id(who)))
        return self.find_user(who)

    def resolve_user_id(self, who: str) -> str:
        """Returns the id of a user, given by id or sign-in identifier. Raises CliError if there is none.

        `me` means the signed-in user.
        """
        if who == "me":
            return self.signed_in.user_id
        return who.lower() if is_user_id(who) else self.find_user(who).user_id

    @property
    def signed_in(self) -> Credentials:
        """Returns the stored sign-in. Raises CliError if there is none."""
        stored = credentials.load(self.target.credentials)
        if stored is None:
            raise CliError(f"you are not signed in at {self.target.url}: run `meno sign-in NAME`")
        return stored

    @property
    def device_token(self) -> str:
        """The refresh token of the last sign-in on this machine; empty if there is none.

        It proves that the device is known, so that failed attempts of others do not delay a sign-in.
        """
        try:
            stored = credentials.load(self.target.credentials)
        except CliError:
            # A new sign-in replaces an invalid file.
            return ""
        return stored.refresh_token if stored else ""

    def store_sign_in(self, name: str, tokens: "Tokens") -> None:
        """Stores a new sign-in. Raises CliError if it cannot be written."""
        with credentials.refresh_lock(self.target.credentials):
            self._store(name, tokens)

    def access_token(self, rejected: str = "") -> str:
        """Returns a fresh access token that is not `rejected`. Raises CliError if the sign-in has ended."""
        stored = self.signed_in
        if stored.fresh and stored.access_token != rejected:
            return stored.access_token
        with credentials.refresh_lock(self.target.credentials):
            # Another command may have refreshed the token before this one got the lock.
            stored = self.signed_in
            if stored.fresh and stored.access_token != rejected:
                return stored.access_token
            return self._refresh(stored)

    def renew(self) -> None:
        """Refreshes the access token, because it lacks rights added after it was issued. Raises CliError."""
        self.access_token(rejected=self.signed_in.access_token)

    def close(self) -> None:
        """Closes the channel."""
        if "channel" in self.__dict__:
            self.channel.close()

    def _refresh(self, stored: Credentials) -> str:
        from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest

        try:
            tokens = self.call_public(
                self.auth.RefreshTokens, RefreshTokensRequest(refresh_token=stored.refresh_token)
            )
        except CliError as error:
            if getattr(error, "reason", "") == "REFRESH_TOKEN_INVALID":
                self.target.credentials.unlink(missing_ok=True)
                raise CliError(
                    f"the sign-in of {stored.name} has ended: sign in again with `meno sign-in {stored.name}`"
                ) from error
            raise
        return self._store(stored.name, tokens)

    def _store(self, name: str, tokens: "Tokens") -> str:
        expires = tokens.access_token_expire_time.seconds
        # The expiry is stored by the local clock, because the clock of the installation may differ.
        lifetime = expires - _issued_at(tokens.access_token, expires)
        new = Credentials(
            tokens.user.user_id, name, tokens.refresh_token, tokens.access_token, time.time() + lifetime
        )
        credentials.save(self.target.credentials, new)
        return tokens.access_token

    def _call_with_retries(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]",
        request: Request,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """Makes a call, and repeats it if it is rate-limited with a short delay. Raises grpc.RpcError."""
        from deploy.cli import api_errors

        for _ in range(_MAX_RETRIES):
            try:
                return rpc(request, timeout=_TIMEOUT_SECONDS, metadata=metadata)
            except self._error as error:
                delay = api_errors.retry_delay_seconds(error)
                if not 0 < delay <= _MAX_RETRY_DELAY_SECONDS:
                    raise
            output.errors.print(f"rate limit reached: waiting {delay} s", style="dim")
            time.sleep(delay)
        return rpc(request, timeout=_TIMEOUT_SECONDS, metadata=metadata)

    def _open_stream(self, rpc: Any, request: Any) -> tuple[Iterator[Any], Any]:
        """Opens a stream and returns it with its first message. Raises grpc.RpcError.

        A rejected token shows only at the first message; the call is then repeated with a new one.
        """
        try:
            steps = rpc(request, timeout=_STREAM_TIMEOUT_SECONDS, metadata=self._authorization())
            return steps, next(steps, None)
        except self._error as error:
            rejected = self._rejected_token(error)
        steps = rpc(request, timeout=_STREAM_TIMEOUT_SECONDS, metadata=self._authorization(rejected))
        return steps, next(steps, None)

    def _authorization(self, rejected: str = "") -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.access_token(rejected)}"),)

    def _rejected_token(self, error: Exception) -> str:
        """Returns the token that was rejected. Raises the error if a new token cannot help."""
        from deploy.cli import api_errors

        reason, stored = api_errors.reason(error), self.signed_in.access_token
        # The user may have gained a right after the token was issued.
        gained = reason == _DENIED and _rights(self.access_token(rejected=stored)) != _rights(stored)
        if not gained and reason not in _TOKEN_ERRORS:
            raise error
        return stored

    @property
    def _error(self) -> type[Exception]:
        import grpc

        return grpc.RpcError

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            from deploy.cli import api_errors

            raise api_errors.to_cli_error(error, self.target) from error


def with_client(command: Callable[Concatenate[Client, Options], None]) -> Callable[..., None]:
    """Decorates a command: passes it a client, and adds the options that choose the target."""
    signature = inspect.signature(command)
    own = [*signature.parameters.values()][1:]
    kind = inspect.Parameter.KEYWORD_ONLY
    target_parameters = [
        inspect.Parameter("url", kind, default="", annotation=Url),
        inspect.Parameter("directory", kind, default=DIRECTORY, annotation=Directory),
    ]

    @functools.wraps(command)
    def run(*, url: str, directory: Path, **options: Any) -> None:
        client = Client(find_target(url, directory))
        try:
            command(client, **options)  # type: ignore[call-arg]
        finally:
            client.close()

    parameters = [one.replace(kind=kind) for one in own] + target_parameters
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return run


def is_user_id(text: str) -> bool:
    """Returns whether a text is a UUID or `me`."""
    return text == "me" or is_uuid(text)


def _set_request_id(request: Any) -> None:
    """Sets the request_id of a write, which makes retries safe."""
    if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
        request.request_id = str(uuid.uuid4())


def _rights(token: str) -> list[Any]:
    from deploy.cli.claims import decode

    claims = decode(token).claims
    return [claims.get(name) for name in _RIGHTS_CLAIMS]


def _issued_at(token: str, default: int) -> int:
    from deploy.cli.claims import decode

    try:
        return int(decode(token).claims["iat"])
    except (KeyError, ValueError, TypeError):
        return default
