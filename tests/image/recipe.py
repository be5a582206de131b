"""The Dockerfile as data: its stages and their instructions."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str

    @property
    def exec_form(self) -> list[str]:
        """The words of `CMD ["a", "b"]`. Raises ValueError for the shell form."""
        words = json.loads(self.rest)
        assert isinstance(words, list)
        return words

    @property
    def options(self) -> dict[str, str]:
        """`--name=value` before the rest."""
        return dict(re.findall(r"(?:^|\s)--([a-z-]+)=(\S+)", self.rest))

    @property
    def words(self) -> list[str]:
        return [word for word in self.rest.split() if not word.startswith("--")]

    @property
    def pairs(self) -> dict[str, str]:
        """`NAME=value` of ENV, ARG and LABEL."""
        return dict(word.partition("=")[::2] for word in shlex.split(self.rest))


@dataclass(frozen=True)
class Stage:
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [one for one in self.instructions if one.word == word]

    def one(self, word: str) -> Instruction:
        (found,) = self.all(word)
        return found


def stages() -> list[Stage]:
    found: list[Stage] = []
    for instruction in _instructions((ROOT / "Dockerfile").read_text("utf-8")):
        if instruction.word == "FROM":
            base, *name = re.split(r"\s+AS\s+", instruction.rest)
            found.append(Stage(base, name[0] if name else ""))
        else:
            found[-1].instructions.append(instruction)
    return found


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    rows = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [Instruction(word, rest.strip()) for word, _, rest in rows]


def context() -> list[str]:
    """What `.dockerignore` lets through: the names after `!`."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines, "everything is left out but what is named"
    return [line[1:] for line in lines if line.startswith("!")]
