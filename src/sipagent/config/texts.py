"""The texts of an agent: inline or from files, in each language, plain or templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sipagent.config.findings import Complaint, Place, Report, Steps
from sipagent.config.gathering import SourceFile
from sipagent.config.schema import SpokenGreeting, TextFile
from sipagent.config.schema.persona import Silence
from sipagent.config.templates.compiled import CompiledTemplate, TemplateProblem, compile_text
from sipagent.config.textfile import Unreadable
from sipagent.config.words import quoted
from sipagent.model import Text

BETWEEN: Final = "\n\n"
"""What stands between an agent's instructions and the rules that end them."""


class Piece(NamedTuple):
    """One text as it was written: its value, and where it stands."""

    value: str | TextFile
    steps: Steps
    source: SourceFile[Any]


@dataclass(frozen=True, slots=True)
class Texts:
    """Reads and compiles texts; complains once of each that cannot be used."""

    report: Report

    def compiled(self, piece: Piece | None) -> Text | None:
        """The text, compiled; None where there is none, or it has been complained of."""
        if piece is None:
            return None
        text = self.read(piece)
        if text is None:
            return None
        compiled = compile_text(text)
        if isinstance(compiled, TemplateProblem):
            self._tell(piece, compiled)
            return None
        return compiled

    def joined(self, pieces: tuple[Piece, ...]) -> Text | None:
        """All of the texts after one another; None if one of them cannot be used."""
        if len(pieces) < 2:
            return self.compiled(pieces[0]) if pieces else None
        if (whole := self._at_once(pieces)) is not None:
            return whole
        texts = [self._closed(piece) for piece in pieces]
        if None in texts:
            return None
        sources = [_source(text) for text in texts if text is not None]
        together = compile_text(_between(sources))
        assert not isinstance(together, TemplateProblem)
        return together

    def _closed(self, piece: Piece) -> Text | None:
        """The text, compiled, in which nothing is open at the end: another one can follow."""
        compiled = self.compiled(piece)
        if isinstance(compiled, CompiledTemplate):
            followed = compile_text(f"{compiled.source}{BETWEEN}.")
            if isinstance(followed, TemplateProblem):
                self._tell(piece, followed)
                return None
        return compiled

    def _at_once(self, pieces: tuple[Piece, ...]) -> Text | None:
        """All of the texts, if at most one has braces: then none can open what another closes.
        Compiling takes milliseconds, and so does each text by itself."""
        texts = [text for piece in pieces if (text := self.read(piece)) is not None]
        if len(texts) < len(pieces) or sum("{" in text or "}" in text for text in texts) > 1:
            return None
        compiled = compile_text(_between(texts))
        return None if isinstance(compiled, TemplateProblem) else compiled

    def read(self, piece: Piece) -> str | None:
        """The text itself; None where its file cannot be used, which is complained of."""
        if isinstance(piece.value, str):
            return piece.value
        text = piece.source.prompts.text(piece.value.file)
        if isinstance(text, Unreadable):
            message = f"the file {quoted(piece.value.file)} {text.reason}"
            piece.source.complain(Complaint((*piece.steps, "file"), message, text.hint))
            return None
        return text

    def complain(
        self,
        piece: Piece,
        place: Place,
        message: str,
        hint: str | None,
        *,
        tenant: str | None = None,
    ) -> None:
        """Complain of what stands at a place within a text. `tenant` is whose fault it may be."""
        if isinstance(piece.value, TextFile):
            path = piece.source.prompts.path(piece.value.file)
            findings = self.report.of(str(path), piece.source.findings.tenant)
            findings.add(place, (), message, hint, tenant=tenant)
            return
        if place.line > 1:
            message = f"line {place.line} of the text: {message}"
        piece.source.complain(Complaint(piece.steps, message, hint), tenant=tenant)

    def _tell(self, piece: Piece, problem: TemplateProblem) -> None:
        place = Place(problem.line, problem.column)
        self.complain(piece, place, problem.message, problem.hint)


def piece_for(
    value: Any, steps: Steps, source: SourceFile[Any], language: str | None
) -> Piece | None:
    """The text for a language: the one of all languages, or that of its own."""
    match value:
        case None:
            return None
        case SpokenGreeting() | Silence():
            return piece_for(value.say, (*steps, "say"), source, language)
        case dict():
            if language is not None and language in value:
                return Piece(value[language], (*steps, language), source)
            return None
        case _:
            return Piece(value, steps, source)


def by_language(value: Any) -> Mapping[str, Any] | None:
    """The texts by language, None for one text for all."""
    if isinstance(value, SpokenGreeting | Silence):
        value = value.say
    return value if isinstance(value, dict) else None


def templates_in(*texts: Text | None) -> Iterator[CompiledTemplate]:
    for text in texts:
        if isinstance(text, CompiledTemplate):
            yield text


def _between(texts: list[str]) -> str:
    return BETWEEN.join(text.strip("\n") for text in texts)


def _source(text: Text) -> str:
    if isinstance(text, str):
        return text
    assert isinstance(text, CompiledTemplate)
    return text.source
