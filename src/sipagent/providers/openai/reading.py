"""A model reads a text and answers with JSON: one request of the Responses API.

Of the API this needs `POST /responses` with `instructions`, `input` and `text.format`, and of its
answer `id`, `status`, `output[].content[].text` and `usage` (openai-python 3.52,
types/responses). Nothing is stored there (`store: false`).
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json, to_json

from sipagent.errors import TokenError
from sipagent.model import Bill, Json, Tokens
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.rest import Body, Rest, RestAnswer, RestError

MOST_WRITTEN: Final = 4000
"""Tokens that the model may write, what it thinks included."""

_MOST_TOKENS: Final = 1_000_000_000
_RETRIED: Final = frozenset({401, 403, 408, 409, 429})


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked. `schema` is what its answer must be like."""

    model: str
    instructions: str
    text: str = field(repr=False)
    schema: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the `text` of the answer, or None and in a word or two why. `again` says that
    asking again may help. `bill` is None where the provider has told none."""

    text: str | None = field(repr=False)
    trouble: str = ""
    again: bool = False
    id: str = ""
    bill: Bill | None = None


class OpenAIReading:
    """The models of one account that read."""

    def __init__(self, account: Account, rest: Rest) -> None:
        self._account = account
        self._rest = rest

    async def ask(self, question: Question, within: float) -> Reply:
        """The model's answer, within so many seconds. Never raises."""
        body = to_json(
            {
                "model": question.model,
                "instructions": question.instructions,
                "input": question.text,
                "max_output_tokens": MOST_WRITTEN,
                "store": False,
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "call",
                        "schema": question.schema,
                        "strict": False,
                    }
                },
            }
        )
        url = f"{self._account.base_url}/responses"
        try:
            answer = await self._account.authorized(
                None,
                lambda headers: self._rest.post(url, headers.raw, Body(body), within=within),
            )
        except TokenError as error:
            return Reply(None, "no token", again=not error.refused)
        except RestError as error:
            return Reply(None, error.what, again=True)
        return _reply(answer)


def _reply(answer: RestAnswer) -> Reply:
    status = answer.status
    if not 200 <= status < 300:
        return Reply(None, str(status), again=status in _RETRIED or status >= 500)
    try:
        found: Any = from_json(answer.body)
        id_, bill = str(found["id"]), _bill(found.get("usage"))
        if found["status"] != "completed":
            return Reply(None, f"answer {str(found['status'])[:16]}", id=id_, bill=bill)
        texts = [
            part["text"]
            for item in found["output"]
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == "output_text"
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Reply(None, "answer unreadable")
    text = "".join(texts)
    return Reply(text or None, "" if text else "no answer", id=id_, bill=bill)


def _bill(usage: Any) -> Bill | None:
    """Text alone is read and written. A number that cannot be makes no bill."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details") or {}
    try:
        read, written = _count(usage["input_tokens"]), _count(usage["output_tokens"])
        cached = _count(details.get("cached_tokens", 0))
    except (KeyError, ValueError):
        return None
    return Bill(Tokens(text_in=read, text_cached=min(cached, read), text_out=written))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise ValueError("no number of tokens")
    return value
