"""Calls of browsers and client secrets, by the official SDK."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.realtime import ClientSecretCreateResponse
from websockets.exceptions import InvalidStatus

from sipagent.simulator import Simulator, running_simulator
from sipagent.simulator.sdp import SdpError, answer, sections, speaks
from tests.offers import an_offer
from tests.simulator.support import ACCEPT, SECRET, assert_official
from tests.simulator.test_official_sdk import drain

SESSION: Any = ACCEPT
SCRIPT = [{"caller": "Hi"}, {"agent": "Good morning."}]


def id_of(created: Any) -> str:
    location: str = created.response.headers["location"]
    return location.removeprefix("/v1/realtime/calls/")


async def test_a_call_is_created_and_held_through_the_sdk(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    sim.set_talks(script=SCRIPT)
    created = await client.realtime.calls.create(sdp=an_offer(), session=SESSION)
    assert created.response.status_code == 201
    assert created.response.headers["content-type"].startswith("application/sdp")
    assert created.text.startswith("v=0\r\n")
    call_id = id_of(created)
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.response.create(response={"instructions": 'Say exactly: "Hello"'})
        await sim.until(call_id, lambda call: len(call.transcript) == 3)
        await client.realtime.calls.hangup(call_id)
        events, _ = await drain(connection)
    call = await sim.wait_ended(call_id)
    assert call.ended_by == "hangup"
    assert [line["text"] for line in call.transcript] == ["Hello", "Hi", "Good morning."]
    assert (call.creates, call.accepts) == ([ACCEPT], [])
    for event in events:
        assert_official(event)


async def test_such_a_call_is_answered_already_and_no_telephone(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = id_of(await client.realtime.calls.create(sdp=an_offer(), session=SESSION))
    with pytest.raises(openai.ConflictError):
        await client.realtime.calls.accept(call_id, **SESSION)
    with pytest.raises(openai.ConflictError):
        await client.realtime.calls.reject(call_id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.realtime.calls.refer(call_id, target_uri="tel:+14155550123")
    assert "SIP" in refused.value.message
    session = sim.call(call_id).session
    assert session is not None
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_nobody_speaks_where_no_microphone_is_offered(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    sim.set_talks(script=SCRIPT, patience=0.05)
    offer = an_offer("recvonly")
    call_id = id_of(await client.realtime.calls.create(sdp=offer, session=SESSION))
    async with client.realtime.connect(call_id=call_id) as connection:
        item = {"type": "message", "role": "user"}
        content: Any = [{"type": "input_text", "text": "I type."}]
        await connection.conversation.item.create(item={**item, "content": content})
        await connection.response.create()
        await sim.until(call_id, lambda call: bool(call.transcript))
        await client.realtime.calls.hangup(call_id)
        await drain(connection)
    assert [line["who"] for line in sim.call(call_id).transcript] == ["agent"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"sdp": "v=1"}, "sdp"),
        ({"sdp": "v=0\r\n"}, "sdp"),
        ({"sdp": an_offer().replace("opus/48000/2", "G722/8000")}, "sdp"),
        ({"sdp": an_offer().replace("a=ice-pwd", "a=x-pwd")}, "sdp"),
        ({"session": {**ACCEPT, "unheard_of": 1}}, "session.unheard_of"),
        ({"session": {"model": "gpt-realtime-2.1"}}, "session.type"),
    ],
)
async def test_what_cannot_be_a_call_is_refused(
    sim: Simulator, client: openai.AsyncOpenAI, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.realtime.calls.create(**{"sdp": an_offer(), "session": SESSION, **change})
    assert refused.value.param == param
    assert not sim.calls


async def test_a_client_secret_begins_calls_with_its_session(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    secret = await client.realtime.client_secrets.create(
        session=SESSION, expires_after={"anchor": "created_at", "seconds": 60}
    )
    ClientSecretCreateResponse.model_validate(secret.model_dump(warnings=False))
    assert secret.value.startswith("ek_")
    assert abs(secret.expires_at - time.time() - 60) < 5
    assert secret.session.type == "realtime"
    browser = openai.AsyncOpenAI(base_url=sim.base_url, api_key=secret.value, max_retries=0)
    async with browser:
        call_id = id_of(await browser.realtime.calls.create(sdp=an_offer()))
    assert sim.call(call_id).creates == [ACCEPT]


async def test_a_client_secret_lasts_for_a_bounded_time(client: openai.AsyncOpenAI) -> None:
    for seconds in (9, 7201):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.realtime.client_secrets.create(
                session=SESSION, expires_after={"anchor": "created_at", "seconds": seconds}
            )
        assert refused.value.param == "expires_after.seconds"


@pytest.fixture
async def guarded() -> AsyncIterator[Simulator]:
    async with running_simulator(SECRET, api_keys=["sk-right"]) as simulator:
        yield simulator


async def test_who_has_no_key_begins_nothing(guarded: Simulator) -> None:
    async with openai.AsyncOpenAI(
        base_url=guarded.base_url, api_key="sk-wrong", max_retries=0
    ) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.realtime.calls.create(sdp=an_offer(), session=SESSION)
        with pytest.raises(openai.AuthenticationError):
            await stranger.realtime.client_secrets.create(session=SESSION)
    assert not guarded.calls


async def test_on_azure_a_key_does_not_begin_a_call(sim: Simulator) -> None:
    async with openai.AsyncOpenAI(
        base_url=sim.azure_base_url, api_key="x", max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.realtime.calls.create(sdp=an_offer(), session=SESSION)
        secret = await client.realtime.client_secrets.create(session=SESSION)
    async with openai.AsyncOpenAI(base_url=sim.azure_base_url, api_key=secret.value) as browser:
        assert id_of(await browser.realtime.calls.create(sdp=an_offer()))


async def test_creating_goes_wrong_as_the_fault_says(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    sim.set_faults({"create": [{"status": 503, "times": 1}, {"reset_after_effect": True}]})
    with pytest.raises(openai.InternalServerError):
        await client.realtime.calls.create(sdp=an_offer(), session=SESSION)
    assert not sim.calls
    with pytest.raises(openai.APIConnectionError):
        await client.realtime.calls.create(sdp=an_offer(), session=SESSION)
    assert len(sim.calls) == 1


async def test_a_call_is_there_before_its_answer_is(
    sim: Simulator, client: openai.AsyncOpenAI, http: httpx.AsyncClient
) -> None:
    call_id = id_of(await client.realtime.calls.create(sdp=an_offer(), session=SESSION))
    shown = (await http.get(f"/simulator/calls/{call_id}")).json()
    assert (shown["state"], shown["creates"]) == ("accepted", [ACCEPT])
    with pytest.raises(InvalidStatus):
        async with client.realtime.connect(call_id="rtc_other"):
            raise AssertionError("attached")


async def test_how_talks_go_is_set_from_outside(
    sim: Simulator, client: openai.AsyncOpenAI, http: httpx.AsyncClient
) -> None:
    set_ = await http.post("/simulator/talks", json={"script": SCRIPT, "stay": False})
    assert set_.status_code == 200
    assert (await http.post("/simulator/talks", json={"scripts": []})).status_code == 422
    call_id = id_of(await client.realtime.calls.create(sdp=an_offer(), session=SESSION))
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.response.create(response={"instructions": 'Say exactly: "Hello"'})
        call = await sim.wait_ended(call_id)
        await drain(connection)
    assert call.ended_by == "caller"


def test_an_answer_mirrors_the_offers_sections() -> None:
    made = answer(an_offer(data=True, video=True), "seed")
    audio, video, data = sections(made)
    assert (audio.kind, audio.formats, audio.value("mid")) == ("audio", ("111",), "0")
    assert (video.kind, video.value("mid")) == ("video", "1")
    assert "\r\nm=video 0 " in made
    assert (data.formats, data.value("mid")) == (("webrtc-datachannel",), "2")
    assert "a=group:BUNDLE 0 2\r\n" in made
    for each in (audio, data):
        assert each.value("setup") == "active"
        assert len((each.value("fingerprint") or "").split(":")) == 32
        assert len(each.value("ice-ufrag") or "") >= 4
        assert len(each.value("ice-pwd") or "") >= 22
    assert made.endswith("\r\n")
    assert "\n\n" not in made.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("recvonly", "sendonly"),
        ("sendonly", "recvonly"),
        ("inactive", "inactive"),
    ],
)
def test_audio_goes_where_the_offer_lets_it(offered: str, answered: str) -> None:
    offer = an_offer(offered)
    assert sections(answer(offer, "seed"))[0].direction == answered
    assert speaks(offer) is (offered in ("sendrecv", "sendonly"))


@pytest.mark.parametrize("offer", ["", "v=0", "v=0\nm=audio", an_offer().replace("a=setup", "a=x")])
def test_what_is_no_offer_has_no_answer(offer: str) -> None:
    with pytest.raises(SdpError):
        answer(offer, "seed")
