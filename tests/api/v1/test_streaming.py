"""Frames of server-sent events, and the seats of those who watch them."""

from contextlib import ExitStack

from sipagent.api.v1 import streaming
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from tests.api.v1.standing import ACME, BETA


def test_no_words_end_the_line_that_they_are_in() -> None:
    """Each of the three that end a line of a stream: else words could be taken for an event."""
    told = streaming.frame("a\revent: ended\r\nid: 7\nb", event="turn", id="1@rtc_1")
    assert (
        told == b"event: turn\ndata: a\ndata: event: ended\ndata: id: 7\ndata: b\nid: 1@rtc_1\n\n"
    )


def test_one_tenant_does_not_take_all_seats_however_many_tokens_it_has() -> None:
    seats = streaming.Seats(most=10, most_of_token=2, most_of_tenant=3)

    def by(token: str, tenant: TenantName | None) -> Principal:
        return Principal(token, "Ann", tenant, Scope.READ)

    with ExitStack() as held:
        for number in range(3):
            assert seats.refusal(by(f"t{number}", ACME)) is None
            held.enter_context(seats.taken(by(f"t{number}", ACME)))
        assert (seats.refusal(by("t9", ACME)) or ())[:2] == (429, "too-many-streams")
        assert seats.refusal(by("b1", BETA)) is None
        assert seats.refusal(by("o1", None)) is None
    assert seats.refusal(by("t9", ACME)) is None
