"""Which line a call came by, and what proves it."""

import hmac
import inspect

import pytest

from sipagent.errors import TemplateError
from sipagent.model import DEFAULT_TENANT, Rate, Reason, Reject, TrunkName
from sipagent.routing import Arrival, Trunk, arrival, decide, invite_of, trunks
from sipagent.routing.targets import target_uri
from sipagent.sip import Headers
from sipagent.testing import a_profile, a_table
from tests.routing.support import NOW, NUMBER, a_call, caller, route, rule

TWILIO = Trunk(TrunkName("twilio"), secret_header="x-trunk-key")
TELNYX = Trunk(TrunkName("telnyx"), secret_header="x-telnyx-key")
WAVIX = Trunk(TrunkName("wavix"), dialed_header="x-number", per_caller=Rate(3, 600.0))
PBX = Trunk(TrunkName("pbx"), dialed_header="x-did", per_caller=Rate(3, 600.0))
SECRETS = {
    TrunkName("twilio"): (b"old-secret", b"new-secret"),
    TrunkName("telnyx"): (b"another", b""),
}


def arrived(headers: list[tuple[str, str]], *known: Trunk) -> Arrival:
    raw = [{"name": name, "value": value} for name, value in headers]
    return arrival(Headers.from_json(raw), {trunk.name: trunk for trunk in known}, SECRETS)


KEY = ("X-Trunk-Key", "new-secret")


@pytest.mark.parametrize(
    ("headers", "known", "name", "verified"),
    [
        ([KEY], [TWILIO, TELNYX, WAVIX], "twilio", True),
        ([("x-trunk-key", " old-secret ")], [TWILIO], "twilio", True),
        ([("X-Telnyx-Key", "another")], [TWILIO, TELNYX], "telnyx", True),
        # Wrong, cut, longer, of another trunk, empty, or written twice: nothing is proven.
        ([("X-Trunk-Key", "wrong")], [TWILIO], None, False),
        ([("X-Trunk-Key", "new-secre")], [TWILIO], None, False),
        ([("X-Trunk-Key", "new-secret2")], [TWILIO], None, False),
        ([("X-Trunk-Key", "NEW-SECRET")], [TWILIO], None, False),
        ([("X-Trunk-Key", "another")], [TWILIO, TELNYX], None, False),
        ([("X-Telnyx-Key", "")], [TELNYX], None, False),
        ([("X-Trunk-Key", "\ud800\u00e9")], [TWILIO], None, False),
        ([KEY, KEY], [TWILIO], None, False),
        ([KEY, ("X-Trunk-Key", "wrong")], [TWILIO], None, False),
        ([], [TWILIO], None, False),
        # Two trunks' secrets in one call: it came by one line, so somebody has copied one.
        ([KEY, ("X-Telnyx-Key", "another")], [TWILIO, TELNYX], None, False),
        # Lines that cannot sign are known by their header, or by being the only one.
        ([("x-number", "1")], [WAVIX, PBX], "wavix", False),
        ([("x-number", "1"), ("x-did", "2")], [WAVIX, PBX], None, False),
        ([], [WAVIX, PBX], None, False),
        ([], [WAVIX, TWILIO], "wavix", False),
        ([("X-Trunk-Key", "wrong")], [WAVIX, TWILIO], "wavix", False),
        ([("x-number", "1"), KEY], [WAVIX, TWILIO], "twilio", True),
        ([KEY], [], None, False),
    ],
)
def test_the_line_a_call_came_by(
    headers: list[tuple[str, str]], known: list[Trunk], name: str | None, verified: bool
) -> None:
    found = arrived(headers, *known)
    assert (found.trunk and found.trunk.name) == name
    assert found.verified is verified


@pytest.mark.parametrize("value", ["new-secret", "wrong"])
def test_no_secret_header_goes_any_further(value: str) -> None:
    headers = [("X-Trunk-Key", value), ("X-Telnyx-Key", value), ("x-store", "7")]
    found = arrived(headers, TWILIO, TELNYX, WAVIX)
    assert list(found.headers.items()) == [("x-store", "7")]
    assert value not in repr(found)


def test_every_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return real(left, right)

    monkeypatch.setattr("hmac.compare_digest", compare)
    arrived([("X-Trunk-Key", "old-secret"), ("X-Telnyx-Key", "old-secret")], TWILIO, TELNYX)
    assert compared == [
        (b"old-secret", b"old-secret"),
        (b"old-secret", b"new-secret"),
        (b"old-secret", b"another"),
    ]
    source = inspect.getsource(trunks)
    assert "== secret" not in source
    assert "in secrets[" not in source


GUARDED = a_table(
    [route(rule("reception"), trunk=TWILIO.name)], [a_profile()], trunks=[TWILIO, TELNYX, WAVIX]
)
OPEN = a_table([route(rule("reception"))], [a_profile()], trunks=[TWILIO, WAVIX])
UNTRUSTED = Reject(603, Reason.UNTRUSTED_TRUNK, DEFAULT_TENANT)


@pytest.mark.parametrize(
    ("trunk", "verified", "answered"),
    [
        ("twilio", True, True),
        (None, False, False),
        ("wavix", False, False),
        ("telnyx", True, False),
        ("twilio", False, False),
    ],
)
def test_a_number_of_a_guarded_line_takes_calls_of_that_line_only(
    trunk: str | None, verified: bool, answered: bool
) -> None:
    decision = decide(a_call(trunk=trunk, verified=verified), GUARDED, NOW)
    assert (decision.verdict != UNTRUSTED) is answered
    if not answered:
        assert decision.caps == ()
        assert decision.trace[-1].source == "trunks"
        assert not decision.trace[-1].held


def test_a_number_without_a_line_takes_every_call() -> None:
    for trunk, verified in (("twilio", True), ("wavix", False), (None, False)):
        decision = decide(a_call(trunk=trunk, verified=verified), OPEN, NOW)
        assert not isinstance(decision.verdict, Reject)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([caller("+14067704205")], "wavix:+14067704205"),
        ([caller("+14067704205"), ("Privacy", "id")], "wavix:anonymous"),
        ([], "wavix:anonymous"),
    ],
)
def test_callers_of_a_line_that_cannot_sign_are_counted(
    headers: list[tuple[str, str]], key: str
) -> None:
    (cap,) = decide(a_call(*headers, trunk="wavix"), OPEN, NOW).caps
    assert (cap.which, cap.key, cap.rate) == ("per_caller", key, Rate(3, 600.0))
    assert "4067704205" not in repr(cap)


def test_a_rejection_counts_for_nothing_and_a_signing_line_has_no_cap() -> None:
    table = a_table([route(rule(486), key=NUMBER)], trunks=[WAVIX])
    assert decide(a_call(trunk="wavix"), table, NOW).caps == ()
    assert decide(a_call(trunk="twilio", verified=True), OPEN, NOW).caps == ()


def test_an_attestation_is_believed_in_the_trunks_own_header_only() -> None:
    a = Trunk(TrunkName("a"), attestation_header="x-verstat")
    b = Trunk(TrunkName("b"))
    known = {a.name: a, b.name: b}
    raw = [{"name": "x-verstat", "value": "TN-Validation-Passed-A"}]
    raw += [{"name": "x-twilio-verstat", "value": "TN-Validation-Passed-A"}]
    raw += [{"name": "From", "value": "<sip:+14067704205@x>"}]
    headers = Headers.from_json(raw)

    def believed(trunk: Trunk | None, known: dict[TrunkName, Trunk]) -> bool:
        invite = invite_of(Arrival(headers, trunk, verified=False), known, None)
        return invite.attestation is not None

    assert believed(None, {})
    assert believed(a, known)
    assert not believed(None, known)
    assert not believed(b, known)


def test_a_number_in_a_trunks_form_must_be_a_target() -> None:
    with pytest.raises(TemplateError, match="no SIP or tel URI"):
        target_uri("+17135550100", Trunk(TrunkName("t"), refer="sip:{e164}"))
