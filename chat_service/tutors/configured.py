"""The tutor that the installation's administrators chose, and may change at any time.

Which one it is, is asked for now and then, and never by an answer that waits: the first words come as
fast as from a tutor that was always there.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol, TypeAlias

import grpc
import structlog

from chassis.errors import Refused, ServiceUnavailable, refusal
from chassis.models.addresses import AddressRefused
from chassis.models.keys import KeyUnusable
from chassis.models.openai_compatible import OpenAITutor
from chassis.models.tutors import Passage, Tutor, TutorFailed, Utterance
from chat_service.tutors.blueprints import Blueprint
from meno.identity.v1.admin_service_pb2 import ModelComponent, ResolvedModel, ResolveModelRequest

LOOK_EVERY = 15.0
"""Seconds between two looks for the choice, which takes effect within half a minute."""
TIMEOUT = 10.0

log = structlog.get_logger()


class Resolve(Protocol):
    """AdminService.ResolveModel."""

    def __call__(
        self, request: ResolveModelRequest, *, timeout: float | None = None
    ) -> Awaitable[ResolvedModel]: ...


Plan: TypeAlias = Callable[[ResolvedModel], Blueprint]
"""What a tutor of a model is made of. Raises KeyUnusable or AddressRefused."""


class Unable:
    """A tutor that has nothing to say, but why."""

    def __init__(self, why: Callable[[], Exception]) -> None:
        self._why = why

    def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Raises it."""
        raise self._why()


class Seat:
    """A tutor at work, and how many answers it is writing."""

    def __init__(self, tutor: Tutor, made_of: Blueprint | None = None, problem: str = "") -> None:
        """`problem` is what keeps it from answering."""
        self.tutor = tutor
        self.made_of = made_of
        self.problem = problem
        self.left = False
        """Whether another tutor has taken over."""
        self.answers = 0

    async def close_if_done(self) -> None:
        """Closes the tutor, once another has taken over and its last answer has ended."""
        if self.left and not self.answers and isinstance(self.tutor, OpenAITutor):
            await self.tutor.close()


class ConfiguredTutor:
    """Hands each question to the tutor that is chosen when it is asked."""

    def __init__(self, resolve: Resolve, plan: Plan) -> None:
        self._resolve = resolve
        self._plan = plan
        self._seat: Seat | None = None
        self._looking: asyncio.Task[None] | None = None

    async def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields what the chosen tutor says.

        Raises TutorFailed, Refused where no tutor is chosen, and ServiceUnavailable where that is not known yet.
        """
        seat = self._seat or await self._first()
        seat.answers += 1
        try:
            async with aclosing(seat.tutor.answer(question, history, passages)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            seat.answers -= 1
            await seat.close_if_done()

    async def keep_current(self, every: float = LOOK_EVERY) -> None:
        """Looks for the choice for ever. While nobody tells it, the last one holds."""
        while True:
            try:
                await self.look()
            except Exception as error:
                log.warning("tutor_not_resolved", error=type(error).__name__)
            await asyncio.sleep(every)

    async def look(self) -> None:
        """Looks for the choice now, or waits for the look that is under way. Raises ServiceUnavailable."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def close(self) -> None:
        """Closes the tutor, when its answers have ended."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._replace(Seat(Unable(ServiceUnavailable)))

    async def _first(self) -> Seat:
        await self.look()
        assert self._seat is not None
        return self._seat

    async def _look(self) -> None:
        request = ResolveModelRequest(component=ModelComponent.MODEL_COMPONENT_TUTOR)
        try:
            model = await self._resolve(request, timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            refused = refusal(error)
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION or refused is None:
                raise ServiceUnavailable from error
            # Nothing takes the place of a tutor that is not configured, and neither does the last one.
            unable = Unable(lambda: Refused(refused.status, refused.code))
            await self._replace(Seat(unable, problem="it is not configured"))
            return
        await self._make(model)

    async def _make(self, model: ResolvedModel) -> None:
        try:
            # Keys are read anew each time, for they are changed where they lie; in a thread, as files
            # and the models' libraries are slow.
            made_of = await asyncio.to_thread(self._plan, model)
            if self._seat is not None and self._seat.made_of == made_of:
                return
            seat = Seat(await asyncio.to_thread(made_of.make), made_of)
        except (KeyUnusable, AddressRefused, ImportError) as error:
            problem = str(error)
            seat = Seat(Unable(lambda: TutorFailed(problem)), problem=problem)
        await self._replace(seat)

    async def _replace(self, seat: Seat) -> None:
        left, self._seat = self._seat, seat
        if seat.problem and (left is None or left.problem != seat.problem):
            log.warning("tutor_unable", problem=seat.problem)
        if left is not None:
            left.left = True
            await left.close_if_done()
