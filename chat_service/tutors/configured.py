"""The tutor that administrators choose in identity_service. They may change it at any time.

The choice is polled in the background, not for each question, so no answer waits for identity_service.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol, TypeAlias

import grpc

from chassis.background import run_forever
from chassis.errors import ServiceUnavailable, StatusError, to_status_error
from chassis.secret_refs import SecretUnavailable
from chassis.telemetry import get_logger
from chassis.url_policy import UrlNotAllowed
from chat_service.tutors.config import TutorConfig
from chat_service.tutors.language_model import LanguageModelTutor
from chat_service.tutors.types import ChatTurn, Passage, Tutor, TutorFailed
from meno.identity.v1.admin_service_pb2 import ResolveModelRequest
from meno.identity.v1.resources_pb2 import ModelComponent, ResolvedModel

POLL_INTERVAL_SECONDS = 15.0
"""Seconds between two polls. With the timeout, a new choice takes effect within 30 seconds."""
TIMEOUT_SECONDS = 10.0

log = get_logger()


class Resolve(Protocol):
    """AdminService.ResolveModel."""

    def __call__(
        self, request: ResolveModelRequest, *, timeout: float | None = None
    ) -> Awaitable[ResolvedModel]: ...


ConfigFactory: TypeAlias = Callable[[ResolvedModel], TutorConfig]
"""Returns the configuration for a model. Raises SecretUnavailable or UrlNotAllowed."""


class TutorNotResolved(Exception):
    """The configuration could not be read. Contains only the type of the cause: its message may quote the key."""


class FailingTutor:
    """A tutor that raises the same error for every question (null object)."""

    def __init__(self, create_error: Callable[[], Exception]) -> None:
        self._create_error = create_error

    def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Raises the error."""
        raise self._create_error()


class ActiveTutor:
    """A tutor in use and the number of answers that it is writing."""

    def __init__(self, tutor: Tutor, config: TutorConfig | None = None, problem: str = "") -> None:
        """`problem` describes why the tutor cannot answer."""
        self.tutor = tutor
        self.config = config
        self.problem = problem
        self.is_replaced = False
        self.answers = 0

    async def close_when_idle(self) -> None:
        """Closes the tutor if it has been replaced and writes no answer."""
        if self.is_replaced and not self.answers and isinstance(self.tutor, LanguageModelTutor):
            await self.tutor.close()


class ConfiguredTutor:
    """Passes each question to the tutor that is configured when the question is asked."""

    def __init__(self, resolve: Resolve, create_config: ConfigFactory) -> None:
        self._resolve = resolve
        self._create_config = create_config
        self._active: ActiveTutor | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields the output of the configured tutor.

        Raises TutorFailed, StatusError if no tutor is configured, and ServiceUnavailable if the configuration
        has never been read.
        """
        active = self._active or await self._initial()
        active.answers += 1
        try:
            async with aclosing(active.tutor.answer(question, history, passages)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            active.answers -= 1
            await active.close_when_idle()

    async def keep_current(self, interval: float = POLL_INTERVAL_SECONDS) -> None:
        """Reads the configuration every `interval` seconds. The last tutor stays active after a failure."""
        await run_forever(self._poll, "tutor_not_resolved", interval=interval)

    async def refresh(self) -> None:
        """Reads the configuration; concurrent calls share one request. Raises ServiceUnavailable."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def close(self) -> None:
        """Closes the tutor when its last answer has ended."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self._replace(ActiveTutor(FailingTutor(ServiceUnavailable)))

    async def _poll(self) -> None:
        try:
            await self.refresh()
        except Exception as error:
            raise TutorNotResolved(type(error).__name__) from None

    async def _initial(self) -> ActiveTutor:
        await self.refresh()
        assert self._active is not None
        return self._active

    async def _refresh(self) -> None:
        request = ResolveModelRequest(component=ModelComponent.MODEL_COMPONENT_TUTOR)
        try:
            model = await self._resolve(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            status_error = to_status_error(error)
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION or status_error is None:
                # The previous tutor stays active while identity_service is unavailable.
                raise ServiceUnavailable from error
            # No other tutor replaces a tutor that is not configured, and the previous one does not either.
            failing = FailingTutor(lambda: StatusError(status_error.status, status_error.code))
            await self._replace(ActiveTutor(failing, problem="it is not configured"))
            return
        await self._activate(model)

    async def _activate(self, model: ResolvedModel) -> None:
        try:
            # The key is read again each time, because its file may have changed. Files and the imports of
            # the SDK are slow, so both run in a thread.
            config = await asyncio.to_thread(self._create_config, model)
            if self._active is not None and self._active.config == config:
                return
            active = ActiveTutor(await asyncio.to_thread(config.create), config)
        except (SecretUnavailable, UrlNotAllowed, ImportError) as error:
            problem = str(error)
            active = ActiveTutor(FailingTutor(lambda: TutorFailed(problem)), problem=problem)
        await self._replace(active)

    async def _replace(self, active: ActiveTutor) -> None:
        previous, self._active = self._active, active
        if active.problem and (previous is None or previous.problem != active.problem):
            log.warning("tutor_unavailable", problem=active.problem)
        if previous is not None:
            previous.is_replaced = True
            await previous.close_when_idle()
