"""Rosters, imported over gRPC."""

from identity_service.tests import rosters
from identity_service.tests.conftest import Identity


async def test_a_dry_run_tells_what_an_import_does_and_changes_nothing(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    shown = await rosters.send(identity, admin, rosters.school(), dry_run=True)
    print(shown)
    again = await rosters.send(identity, admin, rosters.school(), dry_run=True)
    assert shown == again
    done = await rosters.send(identity, admin, rosters.school(), etag=shown.etag)
    print(done)
    shown = await rosters.send(identity, admin, rosters.school(), dry_run=True)
    print(shown)
    assert 0
