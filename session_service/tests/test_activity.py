"""What the service tells of people who study."""

from datetime import UTC, datetime, timedelta

from chassis.testing import refused
from meno.session.v1.session_service_pb2 import Action, ApplyActionRequest
from session_service import activity
from session_service.tests.conftest import Learner, Service


async def test_who_begins_a_session_studies(service: Service) -> None:
    learner, before = service.learner(), datetime.now(UTC)
    await service.begin(learner)
    fact = await service.house.until_told(activity.KIND, user_id=learner.user_id)
    told = datetime.fromisoformat(fact.body["activity_time"])
    assert before <= told <= before + timedelta(minutes=1)


async def test_of_each_person_it_is_told_once_in_a_while(service: Service) -> None:
    learner, other = service.learner(), service.learner()
    await service.begin(learner)
    await service.begin(learner)
    await service.begin(other)
    assert [*await told_up_to(service, other)].count(learner.user_id) == 1


async def test_what_is_refused_is_no_study_and_hides_none(service: Service) -> None:
    learner, other = service.learner(), service.learner()
    session = await service.begin(learner)
    await told_up_to(service, learner)
    missing = ApplyActionRequest(
        user_id="me", session_id=session.session_id, action=Action.ACTION_START_TOPIC
    )
    await refused(service.sessions.ApplyAction(missing, **other.auth))
    await service.begin(last := service.learner())
    assert other.user_id not in await told_up_to(service, last)
    await service.begin(other)
    await told_up_to(service, other)


async def told_up_to(service: Service, learner: Learner) -> list[str]:
    """Of whom it was told that they study, once it was told of somebody."""
    await service.house.until_told(activity.KIND, user_id=learner.user_id)
    return [fact.body["user_id"] for fact in service.house.told if fact.kind == activity.KIND]
