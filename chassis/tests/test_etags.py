"""Optimistic locking: a version that is not current is an error with the current version."""

import pytest

from chassis import etags
from chassis.errors import DomainError, EtagMismatch


def test_the_current_etag_and_an_empty_one_are_accepted() -> None:
    etags.check(etags.etag(12), 12)
    etags.check("", 12)


@pytest.mark.parametrize("given", [etags.etag(11), etags.etag(13), "12", "anything"])
def test_another_etag_is_an_error_that_contains_the_current_one(given: str) -> None:
    with pytest.raises(EtagMismatch) as caught:
        etags.check(given, 12)
    assert caught.value.metadata == {"current": etags.etag(12)}


def test_other_versions_are_compared_in_the_same_way() -> None:
    def mismatch(current: int) -> DomainError:
        return EtagMismatch(f"version {current}")

    for accepted in (0, 3):
        etags.check_version(accepted, 3, mismatch)
    with pytest.raises(EtagMismatch) as caught:
        etags.check_version(2, 3, mismatch)
    assert caught.value.metadata == {"current": "version 3"}
