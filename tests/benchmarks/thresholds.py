"""The bars: what each figure has to reach, and what would be beyond it."""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.stack.layout import SERVICES

THROUGH_AGAINST_PEER = "GetSession through the gateway, against FastAPI + async ORM without one"
THROUGH_AGAINST_EMPTY = "GetSession through the gateway, against the empty handler there"
GATEWAY_SHARE = "empty handler through the gateway, against direct"
READ_AGAINST_PEER = "{}, against FastAPI + async ORM"
LATE_PAGE = "a page of 5,000 members, the last against the first"
SIGN_IN = "sign-ins, against verifying their hashes alone"
LARGE_TOKEN = "GetUser through the gateway with a token of 200 classes, against one of none"
REVOCATION = "a right is lost until every service refuses it, the slowest of several"
LATE_EVENT = "AppendEvents, event 10,000 of a session against event 10"
FIRST_WORDS_MEDIAN = "first words of an answer (p50), class of 114 documents"
FIRST_WORDS_P95 = "first words of an answer (p95), class of 114 documents"
HIT_5 = "retrieval hit@5, against words alone"
HIT_10 = "retrieval hit@10, against words alone"
RECIPROCAL_RANK = "retrieval MRR@10, against words alone"
RECALL = "recall@10 in one class of many, against brute force"
ROWS_RETURNED = "rows returned in one class of many"
INGESTION = "ingestion of the course, against embedding its passages whole"
MEMORY_IDLE = "memory of {}, idle"
MEMORY_EMBEDDING = "memory of content_service, with embeddings"
LATER_START = "start-up to ready, later than the first"


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


READS = ("GetUser", "GetSettings", "GetClass", "ListClasses (20)", "ListMemberships (50 of 5,000)")

_IDLE = Bar(120, 90, of_value=True, more_is_better=False)

BARS: Mapping[str, Bar] = {
    THROUGH_AGAINST_PEER: Bar(2.0, 2.5),
    THROUGH_AGAINST_EMPTY: Bar(0.40, 0.5),
    GATEWAY_SHARE: Bar(0.75, 0.9),
    **{READ_AGAINST_PEER.format(read): Bar(2.0, 2.5) for read in READS},
    LATE_PAGE: Bar(1.2, 1.05, more_is_better=False),
    SIGN_IN: Bar(0.8, 0.95),
    REVOCATION: Bar(1.0, 0.1, of_value=True, more_is_better=False),
    LATE_EVENT: Bar(1.2, 1.05, more_is_better=False),
    FIRST_WORDS_MEDIAN: Bar(60, 40, of_value=True, more_is_better=False),
    FIRST_WORDS_P95: Bar(150, 100, of_value=True, more_is_better=False),
    HIT_5: Bar(0.94, 0.96, of_value=True),
    HIT_10: Bar(0.965, 0.98, of_value=True),
    RECIPROCAL_RANK: Bar(0.82, 0.86, of_value=True),
    RECALL: Bar(0.99, 1.0, of_value=True),
    ROWS_RETURNED: Bar(10, 10, of_value=True),
    INGESTION: Bar(15, 20, of_value=True),
    **{MEMORY_IDLE.format(name): _IDLE for name in SERVICES},
    MEMORY_EMBEDDING: Bar(350, 250, of_value=True, more_is_better=False),
    LATER_START: Bar(10, 5, of_value=True, more_is_better=False),
}
