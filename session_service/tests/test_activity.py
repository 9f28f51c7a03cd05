"""Reports of learning activity to identity_service."""

from datetime import UTC, datetime, timedelta

from chassis import activity
from chassis.testing import expect_error
from meno.session.v1.resources_pb2 import SessionAction
from meno.session.v1.session_service_pb2 import ApplyActionRequest
from session_service.tests.conftest import Learner, Service


async def test_creating_a_session_reports_activity(service: Service) -> None:
    learner, before = service.learner(), datetime.now(UTC)
    await service.create(learner)
    fact = await service.env.wait_for_outbox(activity.KIND, user_id=learner.user_id)
    reported = datetime.fromisoformat(fact.body["activity_time"])
    assert before <= reported <= before + timedelta(minutes=1)


async def test_the_activity_of_a_user_is_reported_once_per_interval(service: Service) -> None:
    learner, other = service.learner(), service.learner()
    await service.create(learner)
    await service.create(learner)
    await service.create(other)
    assert [*await reported_until(service, other)].count(learner.user_id) == 1


async def test_a_failed_call_reports_no_activity_and_does_not_suppress_a_later_report(
    service: Service,
) -> None:
    learner, other = service.learner(), service.learner()
    session = await service.create(learner)
    await reported_until(service, learner)
    missing = ApplyActionRequest(
        user_id="me", session_id=session.session_id, action=SessionAction.SESSION_ACTION_START_TOPIC
    )
    await expect_error(service.sessions.ApplyAction(missing, **other.auth))
    await service.create(last := service.learner())
    assert other.user_id not in await reported_until(service, last)
    await service.create(other)
    await reported_until(service, other)


async def reported_until(service: Service, learner: Learner) -> list[str]:
    """Waits for the report of a learner; returns the user ids of all reports so far, in order."""
    await service.env.wait_for_outbox(activity.KIND, user_id=learner.user_id)
    return [fact.body["user_id"] for fact in service.env.sent if fact.kind == activity.KIND]
