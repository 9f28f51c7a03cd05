"""The threshold and the stretch goal of each figure."""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.stack.layout import SERVICES

GATEWAY_AGAINST_PEER = "GetSession through the gateway, against FastAPI + async ORM without one"
GATEWAY_AGAINST_EMPTY = "GetSession through the gateway, against the empty handler through the gateway"
GATEWAY_SHARE = "empty handler through the gateway, against direct"
READ_AGAINST_PEER = "{}, against FastAPI + async ORM"
LATE_PAGE = "a page of 5,000 members, the last against the first"
SIGN_IN = "sign-ins, against only verifying their hashes"
LARGE_TOKEN = "GetUser through the gateway with a token of 200 classes, against a token without classes"
REVOCATION = "loss of a permission until every service rejects the token, the slowest of ten"
LATE_EVENT = "AppendEvents, event 10,000 of a session against event 10"
FIRST_TEXT_MEDIAN = "first text of an answer (p50), class of 114 documents"
FIRST_TEXT_P95 = "first text of an answer (p95), class of 114 documents"
HIT_5 = "retrieval hit@5, against BM25 only"
HIT_10 = "retrieval hit@10, against BM25 only"
RECIPROCAL_RANK = "retrieval MRR@10, against BM25 only"
RECALL = "recall@10 in one class of many, against exact search"
ROWS_RETURNED = "rows returned in one class of many"
INGESTION = "ingestion of the course, against embedding only"
MEMORY_IDLE = "memory of {}, idle"
MEMORY_EMBEDDING = "memory of content_service, with embeddings"
LATER_START = "start-up to ready, later starts"


@dataclass(frozen=True)
class Threshold:
    """The limits of one figure."""

    required: float
    goal: float
    of_value: bool = False
    """Whether the limits apply to the value. By default they apply to its ratio to the baseline."""
    more_is_better: bool = True

    def verdict(self, figure: float) -> str:
        """Returns the result in words, with colour markup."""
        if self._reaches(figure, self.goal):
            return "[bold green]goal reached[/]"
        return "[green]pass[/]" if self._reaches(figure, self.required) else "[bold red]fail[/]"

    def _reaches(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.more_is_better else figure <= limit


READS = ("GetUser", "GetSettings", "GetClass", "ListClasses (20)", "ListMemberships (50 of 5,000)")

_IDLE = Threshold(120, 90, of_value=True, more_is_better=False)

THRESHOLDS: Mapping[str, Threshold] = {
    GATEWAY_AGAINST_PEER: Threshold(2.0, 2.5),
    GATEWAY_AGAINST_EMPTY: Threshold(0.40, 0.5),
    GATEWAY_SHARE: Threshold(0.75, 0.9),
    **{READ_AGAINST_PEER.format(read): Threshold(2.0, 2.5) for read in READS},
    LATE_PAGE: Threshold(1.2, 1.05, more_is_better=False),
    SIGN_IN: Threshold(0.8, 0.95),
    REVOCATION: Threshold(1.0, 0.1, of_value=True, more_is_better=False),
    LATE_EVENT: Threshold(1.2, 1.05, more_is_better=False),
    FIRST_TEXT_MEDIAN: Threshold(60, 40, of_value=True, more_is_better=False),
    FIRST_TEXT_P95: Threshold(150, 100, of_value=True, more_is_better=False),
    HIT_5: Threshold(0.94, 0.96, of_value=True),
    HIT_10: Threshold(0.965, 0.98, of_value=True),
    RECIPROCAL_RANK: Threshold(0.82, 0.86, of_value=True),
    RECALL: Threshold(0.99, 1.0, of_value=True),
    ROWS_RETURNED: Threshold(10, 10, of_value=True),
    INGESTION: Threshold(15, 20, of_value=True),
    **{MEMORY_IDLE.format(name): _IDLE for name in SERVICES},
    MEMORY_EMBEDDING: Threshold(350, 250, of_value=True, more_is_better=False),
    LATER_START: Threshold(10, 5, of_value=True, more_is_better=False),
}
