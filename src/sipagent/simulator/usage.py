"""Token counts: invented, but consistent, so that a bill can be checked to the token."""

from dataclasses import dataclass

from sipagent.simulator.refusal import JsonObject

_CALLER_TOKENS_PER_WORD = 4  # 10 per second of audio at 2.5 words per second
_AGENT_TOKENS_PER_WORD = 8  # 20 per second
_CACHE_BLOCK = 64


def text_tokens(text: str) -> int:
    return -(-len(text) // 4)


def caller_tokens(text: str) -> int:
    return _CALLER_TOKENS_PER_WORD * len(text.split())


def agent_tokens(text: str) -> int:
    return _AGENT_TOKENS_PER_WORD * len(text.split())


@dataclass(slots=True)
class Ledger:
    """The context that each response is billed for, and the sum of all bills."""

    context_text: int = 0
    context_audio: int = 0
    seen_text: int = 0
    seen_audio: int = 0
    responses: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    def hear(self, text: str) -> None:
        self.context_audio += caller_tokens(text)

    def read(self, text: str) -> None:
        self.context_text += text_tokens(text)

    def charge(self, instructions: str, spoken: str, written: str) -> JsonObject:
        """The usage of one response, whose output becomes context of the next."""
        text = self.context_text + text_tokens(instructions)
        audio = self.context_audio
        # Instructions of one response alone may have been longer than these.
        cached_text = min(self.seen_text, text) // _CACHE_BLOCK * _CACHE_BLOCK
        cached_audio = min(self.seen_audio, audio) // _CACHE_BLOCK * _CACHE_BLOCK
        out_text, out_audio = text_tokens(spoken + written), agent_tokens(spoken)
        self.seen_text, self.seen_audio = text, audio
        self.context_text += out_text
        self.context_audio += out_audio
        self._add(text + audio, cached_text + cached_audio, out_text + out_audio)
        return {
            "total_tokens": text + audio + out_text + out_audio,
            "input_tokens": text + audio,
            "output_tokens": out_text + out_audio,
            "input_token_details": {
                "text_tokens": text,
                "audio_tokens": audio,
                "image_tokens": 0,
                "cached_tokens": cached_text + cached_audio,
                "cached_tokens_details": {
                    "text_tokens": cached_text,
                    "audio_tokens": cached_audio,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": out_text, "audio_tokens": out_audio},
        }

    def _add(self, into: int, cached: int, out: int) -> None:
        self.responses += 1
        self.input_tokens += into
        self.cached_tokens += cached
        self.output_tokens += out

    def totals(self) -> JsonObject:
        """What all responses together were billed."""
        return {
            "responses": self.responses,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
        }
