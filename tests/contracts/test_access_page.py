"""The generated page of permitted callers equals the contracts."""

import pytest

from deploy.gateway.access_page import PAGE, update
from deploy.gateway.contracts import descriptors, rpcs


def test_the_page_is_current() -> None:
    page = PAGE.read_text()
    assert page == update(page, descriptors()), "run make docs"


def test_every_rpc_is_listed_with_its_callers() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    callers = {row[0].removeprefix("| "): row[1] for row in rows if len(row) == 3}
    assert {rpc.name for rpc in rpcs(descriptors())} <= {
        name for name, permitted in callers.items() if permitted
    }


def test_text_outside_the_markers_is_kept() -> None:
    page = PAGE.read_text()
    again = update(page.replace("| GetUser |", "| Another |"), descriptors())
    assert again == page


def test_a_page_without_markers_is_rejected() -> None:
    with pytest.raises(ValueError, match="must contain the markers"):
        update("# Permitted callers\n", descriptors())
