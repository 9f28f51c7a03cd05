"""The bars: what each figure has to reach, and what would be beyond it."""

from collections.abc import Mapping
from dataclasses import dataclass

THROUGH_AGAINST_PEER = "GetSession through the gateway, against FastAPI + async ORM without one"
THROUGH_AGAINST_EMPTY = "GetSession through the gateway, against the empty handler there"
GATEWAY_SHARE = "empty handler through the gateway, against direct"


@dataclass(frozen=True)
class Bar:
    """A figure to reach."""

    good: float
    great: float
    of_value: bool = False
    """The value is held against it, not its ratio to the baseline."""
    more_is_better: bool = True

    def verdict(self, figure: float) -> str:
        """In words, coloured."""
        if self._reaches(figure, self.great):
            return "[bold green]beyond[/]"
        return "[green]pass[/]" if self._reaches(figure, self.good) else "[bold red]falls short[/]"

    def _reaches(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.more_is_better else figure <= limit


BARS: Mapping[str, Bar] = {
    THROUGH_AGAINST_PEER: Bar(2.0, 2.5),
    THROUGH_AGAINST_EMPTY: Bar(0.40, 0.5),
    GATEWAY_SHARE: Bar(0.75, 0.9),
    "AppendEvents, event 10000 of a session": Bar(1.2, 1.05, more_is_better=False),
}
