"""The languages of an agent: what each changes of its session, and what the model is told."""

from collections.abc import Mapping
from typing import Any, Final

from sipagent.config.leaves import Leaf, Leaves
from sipagent.config.schema import Transcription
from sipagent.model import Json, Text, Tongue

_NAMES: Final[Mapping[str, str]] = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "gu": "Gujarati",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "kn": "Kannada",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ml": "Malayalam",
    "mr": "Marathi",
    "ms": "Malay",
    "mt": "Maltese",
    "nl": "Dutch",
    "no": "Norwegian",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""English names of languages by their ISO 639-1 codes."""


def spoken_rule(languages: tuple[str, ...], language: str, *, may_change: bool) -> str:
    """What the model is told of the languages that it may speak, and of the one that it speaks."""
    known = [named(each) for each in languages]
    others = f"{', '.join(known[:-1])} and {known[-1]}"
    change = (
        "use the tool set_language as soon as the caller speaks or asks for another one of these"
        if may_change
        else "change to another one of these only if the caller speaks it"
    )
    return (
        "# Languages\n\n"
        f"- You speak {others}, and no other language.\n"
        f"- Speak {named(language)}; {change}."
    )


def named(language: str) -> str:
    """The language's name and code, as in `Portuguese (pt-BR)`."""
    name = _NAMES.get(language.partition("-")[0])
    return language if name is None else f"{name} ({language})"


def heard_in(leaf: Leaf | None, language: str | None) -> Any:
    """The `transcription` leaf for a language: it expects that one, unless the agent itself says
    what to expect."""
    value = None if leaf is None else leaf.value
    if leaf is None or value is None or language is None:
        return value
    code = language.partition("-")[0]
    if isinstance(value, str):
        return {"model": value, "language": code}
    assert isinstance(value, Transcription)
    wrote = value.written()
    if leaf.steps[0] == "agents" and not wrote.keys().isdisjoint({"language", "languages"}):
        return value
    return {**{key: each for key, each in wrote.items() if key != "languages"}, "language": code}


def tongue_of(language: str | None, session: Json, asks: Text | None) -> Tongue | None:
    """The agent in this language: what its session becomes, and what is asked when nobody
    speaks."""
    if language is None:
        return None
    said = " ".join(asks.split()) if isinstance(asks, str) else None
    return Tongue(language, _change(session), said)


def _change(session: Json) -> Json:
    change: dict[str, Any] = {"type": "realtime"}
    if "instructions" in session:
        change["instructions"] = session["instructions"]
    heard = session.get("audio", {}).get("input", {})
    if "transcription" in heard:
        change["audio"] = {"input": {"transcription": heard["transcription"]}}
    return change


def is_multilingual(leaves: Leaves) -> bool:
    return "languages" in leaves and len(leaves["languages"].value) > 1
