"""What the control API tells of calls, as it is described: models of answers."""

from typing import Any

from pydantic import Field

from sipagent.api.v1.base import Model

_MASKED = "+*********34"


class Call(Model):
    """One call's facts. Times are RFC 3339 in UTC; a time, an outcome or a sum that is not there
    yet is null. Telephone numbers are masked unless they were asked for in full."""

    call_id: str = Field(description="The provider's id.", examples=["rtc_u1_9c6574da"])
    account: str = Field(description="The upstream account.", examples=["openai"])
    webhook_id: str = Field(description="The webhook that announced it.", examples=["wh_1"])
    tenant: str = Field(description="Whose call it is.", examples=["acme"])
    agent: str | None = Field(description="Who answers.", examples=["reception"])
    language: str | None = Field(description="The language that it began in.", examples=["en"])
    trunk: str | None = Field(description="The carrier's line.", examples=["wavix"])
    trunk_proven: bool = Field(description="Whether the line has proven itself.")
    verdict: str = Field(description="accept, forward or reject.", examples=["accept"])
    destination: str | None = Field(description="Where a forwarded call went.")
    dialed: str | None = Field(description="The dialed number.", examples=[_MASKED])
    dialed_source: str | None = Field(description="The header it was in.", examples=["Diversion"])
    listed: bool = Field(description="Whether the directory lists the number itself.")
    caller: str | None = Field(description="Who called; null where withheld.", examples=[_MASKED])
    caller_name: str | None = Field(default=None, description="With numbers in full only.")
    forwarded_from: list[str] = Field(description="Who had forwarded it before it came here.")
    attestation: str | None = Field(description="What the carrier says of the caller's number.")
    media_security: str = Field(description="How the audio is protected.", examples=["srtp"])
    flags: list[str] = Field(description="What else was noticed.")
    config_hash: str | None = Field(description="The configuration that decided.")
    release: str = Field(description="The release that took it.", examples=["0.7.0"])
    replica: str = Field(description="The replica that took it.")
    model: str | None = Field(description="The model that spoke.", examples=["gpt-realtime-2.1"])
    created_at: str | None = Field(description="When the provider announced it.")
    began_at: str = Field(
        description="When the webhook came.", examples=["2026-11-29T08:52:11.302+00:00"]
    )
    answered_at: str | None = Field(description="When it was answered; told once it has ended.")
    attached_at: str | None = Field(
        description="When its socket was attached; told once it has ended."
    )
    heard_at: str | None = Field(
        description="When the caller first heard the agent; told once it has ended."
    )
    ended_at: str | None = Field(description="When it ended; null while it is held.")
    outcome: str | None = Field(
        description="How it ended, kind and reason.", examples=["completed.agent_hung_up"]
    )
    at_fault: str | None = Field(description="Who is at fault, if anybody.")
    detail: str | None = Field(description="A few words more on its end.")
    sip_code: int | None = Field(description="The SIP status of a refusal.")
    turns: int | None = Field(description="Turns that were spoken.", examples=[12])
    tokens: int | None = Field(description="Tokens that were billed.", examples=[8123])
    cost: int | None = Field(description="Micro-dollars.", examples=[41_200])
    usage_complete: bool | None = Field(description="False: the cost is at least this.")
    price_version: str | None = Field(description="The price list that was used.")
    hold: bool = Field(description="Whether it is kept from every deletion.")
    seconds: float | None = Field(description="From the webhook to the end.", examples=[94.2])


class Step(Model):
    """One step of the decision."""

    source: str = Field(description="What was looked at.", examples=["numbers"])
    considered: str = Field(description="What of it.", examples=["+*********34"])
    held: bool = Field(description="Whether it applied.")
    because: str = Field(description="Why, or why not.", examples=["listed"])


class Occurrence(Model):
    """A step of the call's story."""

    at: str = Field(description="When.")
    what: str = Field(description="What happened.", examples=["answered"])
    detail: str | None = Field(description="A few words more.")


class Bill(Model):
    """One bill of the provider's."""

    source_id: str = Field(description="The provider's id for what was billed.")
    kind: str = Field(description="response or transcription.", examples=["response"])
    at: str = Field(description="When.")
    model: str | None = Field(description="What was used.")
    text_in: int
    audio_in: int
    image_in: int
    text_cached: int
    audio_cached: int
    image_cached: int
    text_out: int
    audio_out: int
    seconds: float | None = Field(description="Seconds of audio, where these are billed.")
    cost: int | None = Field(description="Micro-dollars; null where no price is known.")
    price_version: str


class Attempt(Model):
    """One attempt to send the call on."""

    number: int = Field(description="Counted from 1.")
    at: str = Field(description="When.")
    destination: str | None = Field(description="The destination's name.")
    target: str = Field(description="Where it leads; numbers in it are masked.")
    answer: str = Field(description="What the provider answered.")
    outcome: str | None = Field(description="What came of it.")


class ToolUse(Model):
    """One tool call; its words are in the transcript."""

    id: str
    at: str = Field(description="When it began.")
    agent: str | None = Field(description="Whose tool it is.")
    name: str = Field(description="The tool.", examples=["order_status"])
    status: str = Field(description="What came of it.", examples=["ok"])
    detail: str | None = Field(description="A few words more.")
    began: float = Field(description="Seconds since the call began.")
    ended: float = Field(description="Seconds since the call began.")
    seconds: float = Field(description="How long it took.")


class ToolWords(ToolUse):
    """One tool call with what it was given and gave, as recorded; null where that is not kept."""

    arguments: str | None = Field(description="What the model gave it, JSON.")
    output: str | None = Field(description="What the model got of it.")


class MessageTaken(Model):
    """A message that the agent took. What it says is in the transcript."""

    id: str
    at: str = Field(description="When.")


class MessageWords(MessageTaken):
    """A message that the agent took, with what it says."""

    fields: dict[str, str] = Field(
        description="Each field's text.", examples=[{"message": "Please call back."}]
    )


class CarrierId(Model):
    """A name by which the carrier knows the call."""

    alias: str
    header: str = Field(description="The header it was in.", examples=["X-Twilio-CallSid"])


class CallStory(Call):
    """Everything that is kept of a call but for its words."""

    trace: list[Step] = Field(description="The decision, step by step.")
    happenings: list[Occurrence] = Field(description="What happened, in order.")
    usage: list[Bill] = Field(description="What the provider billed.")
    transfers: list[Attempt] = Field(description="Attempts to send the call on.")
    tool_calls: list[ToolUse] = Field(description="Tools that were used.")
    messages: list[MessageTaken] = Field(description="Messages that were taken.")
    carrier_ids: list[CarrierId] = Field(description="The carrier's names for it.")


class Calls(Model):
    """Some calls, the newest first."""

    calls: list[Call]
    next: str | None = Field(
        description="Give this as `after` for the calls that follow; null: there are none.",
        examples=["1795942331.302~rtc_u1_9c6574da"],
    )


class Turn(Model):
    """What one side said."""

    sequence: int = Field(description="Counted from 0.")
    at: str = Field(description="When.")
    speaker: str = Field(description="caller or agent.", examples=["caller"])
    text: str | None = Field(description="The words; null where nobody understood them.")
    interrupted: bool = Field(description="Whether the other side spoke into it.")


class Made(Model):
    """What a model has made of the call when it was over."""

    summary: str | None
    extracted: str | None = Field(description="JSON, as the agent's schema has it.")


class Transcript(Model):
    """The words of one call. Numbers in them are masked unless they were asked for in full."""

    call_id: str
    tenant: str
    turns: list[Turn] = Field(description="In the order in which they were spoken.")
    tool_calls: list[ToolWords]
    messages: list[MessageWords]
    made: list[Made]


class Why(Model):
    """The call in plain sentences, as `sipagent why` tells it; a part may be empty."""

    call_id: str
    decided: list[str] = Field(description="What was decided, and by which rule.")
    happened: list[str] = Field(description="What happened.")
    ended: list[str] = Field(description="How it ended, and who is at fault.")
    cost: list[str] = Field(description="What it cost.")
    to_do: list[str] = Field(description="What to do about it.")


class Hit(Model):
    """A turn that holds the words."""

    call_id: str
    sequence: int
    at: str
    speaker: str
    text: str


class Hits(Model):
    """Turns that hold the words, the newest first."""

    hits: list[Hit]


def of(model: Any, data: Any) -> Any:
    """The model of plain data, as far as the model has it."""
    return model.model_validate({name: data[name] for name in model.model_fields if name in data})
