"""The eleven client events of the socket, and the bodies of refer and reject."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from sipagent.simulator.session_schema import (
    MaxTokens,
    Modalities,
    Prompt,
    Reasoning,
    Session,
    Tool,
    ToolChoice,
    Voice,
    Wire,
)

ItemId = Annotated[str, Field(min_length=1, max_length=32)]
ItemStatus = Literal["completed", "incomplete", "in_progress"]


def item_kind(value: Any) -> str | None:
    """The tag of a conversation item: its type, and for a message also its role."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    return f"message.{value.get('role')}" if kind == "message" else kind


class SystemContent(Wire):
    type: Literal["input_text"]
    text: str = ""


class UserContent(Wire):
    type: Literal["input_text", "input_audio", "input_image"]
    text: str = ""
    audio: str = ""
    transcript: str | None = None
    image_url: str = ""
    detail: Literal["auto", "low", "high"] = "auto"


class AssistantContent(Wire):
    type: Literal["output_text", "output_audio"]
    text: str = ""
    audio: str = ""
    transcript: str | None = None


class Item(Wire):
    id: ItemId | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: ItemStatus = "completed"


class SystemMessage(Item):
    type: Literal["message"]
    role: Literal["system"]
    content: list[SystemContent]


class UserMessage(Item):
    type: Literal["message"]
    role: Literal["user"]
    content: list[UserContent]


class AssistantMessage(Item):
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[AssistantContent]


class FunctionCall(Item):
    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: ItemId | None = None


class FunctionCallOutput(Item):
    type: Literal["function_call_output"]
    call_id: str
    output: str


class McpApprovalResponse(Wire):
    type: Literal["mcp_approval_response"]
    id: ItemId
    approval_request_id: str
    approve: bool
    reason: str | None = None


AnyItem = Annotated[
    Annotated[SystemMessage, Tag("message.system")]
    | Annotated[UserMessage, Tag("message.user")]
    | Annotated[AssistantMessage, Tag("message.assistant")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[McpApprovalResponse, Tag("mcp_approval_response")],
    Discriminator(item_kind),
]


class ItemReference(Wire):
    type: Literal["item_reference"]
    id: str


class ResponseOutput(Wire):
    voice: Voice = "alloy"
    format: dict[str, Any] | None = None


class ResponseAudio(Wire):
    output: ResponseOutput = ResponseOutput()


class ResponseParams(Wire):
    instructions: str = ""
    input: list[AnyItem | ItemReference] = Field(default=[])
    output_modalities: Modalities = Field(default=["audio"])
    audio: ResponseAudio = ResponseAudio()
    tools: list[Tool] = Field(default=[])
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    reasoning: Reasoning = Reasoning()
    max_output_tokens: MaxTokens = "inf"
    prompt: Prompt | None = None
    metadata: dict[str, Annotated[str, Field(max_length=512)]] | None = None
    conversation: Literal["auto", "none"] = "auto"


class ClientEvent(Wire):
    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    type: Literal["session.update"]
    session: Session


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseParams = ResponseParams()


class ResponseCancel(ClientEvent):
    type: Literal["response.cancel"]
    response_id: str | None = None


class ItemCreate(ClientEvent):
    type: Literal["conversation.item.create"]
    item: AnyItem
    previous_item_id: str | None = None


class ItemDelete(ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemRetrieve(ClientEvent):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemTruncate(ClientEvent):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Field(ge=0)]


class InputAppend(ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: str


class InputClear(ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class InputCommit(ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class OutputClear(ClientEvent):
    type: Literal["output_audio_buffer.clear"]


class Refer(Wire):
    target_uri: Annotated[str, Field(pattern=r"^(?i:tel:|sips?:)[^\s<>]+$")]


class Reject(Wire):
    status_code: Annotated[int, Field(ge=300, le=699)] = 603


CLIENT_EVENTS: dict[str, TypeAdapter[Any]] = {
    "session.update": TypeAdapter(SessionUpdate),
    "response.create": TypeAdapter(ResponseCreate),
    "response.cancel": TypeAdapter(ResponseCancel),
    "conversation.item.create": TypeAdapter(ItemCreate),
    "conversation.item.delete": TypeAdapter(ItemDelete),
    "conversation.item.retrieve": TypeAdapter(ItemRetrieve),
    "conversation.item.truncate": TypeAdapter(ItemTruncate),
    "input_audio_buffer.append": TypeAdapter(InputAppend),
    "input_audio_buffer.clear": TypeAdapter(InputClear),
    "input_audio_buffer.commit": TypeAdapter(InputCommit),
    "output_audio_buffer.clear": TypeAdapter(OutputClear),
}
SESSION: TypeAdapter[Session] = TypeAdapter(Session)
REFER: TypeAdapter[Refer] = TypeAdapter(Refer)
REJECT: TypeAdapter[Reject] = TypeAdapter(Reject)
