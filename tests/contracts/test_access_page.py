"""The page that says who may call what says what the contracts say."""

import pytest

from deploy.gateway.access_page import PAGE, update
from deploy.gateway.contracts import descriptors, rpcs


def test_the_page_is_update() -> None:
    page = PAGE.read_text()
    assert page == update(page, descriptors()), "run python -m deploy.gateway.access_page"


def test_every_rpc_stands_on_it_with_a_way_in() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    told = {row[0].removeprefix("| "): row[1] for row in rows if len(row) == 3}
    assert {rpc.name for rpc in rpcs(descriptors())} <= {name for name, who in told.items() if who}


def test_what_is_written_by_hand_is_kept() -> None:
    page = PAGE.read_text()
    again = update(page.replace("| GetUser |", "| Another |"), descriptors())
    assert again == page


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        update("# Who may call what\n", descriptors())
