"""A YAML file as a tree in which every key and value knows its place."""

from dataclasses import dataclass, field
from typing import NamedTuple

from sipagent.config.findings import Place, Steps


@dataclass(slots=True)
class Scalar:
    """One word or text. `plain` says that it stands without quotes, so it may be a number."""

    place: Place
    text: str
    plain: bool
    size: int = 1
    depth: int = 0


@dataclass(slots=True)
class Listing:
    place: Place
    items: "list[Node]" = field(default_factory=list)
    size: int = 1
    depth: int = 1


class Row(NamedTuple):
    key: Place
    value: "Node"


@dataclass(slots=True)
class Table:
    """A mapping. Its keys are the raw text that stands in the file, also if it looks like a number:
    `+17134810111` keeps its plus sign."""

    place: Place
    rows: dict[str, Row] = field(default_factory=dict)
    size: int = 1
    depth: int = 1


Node = Scalar | Listing | Table
"""`size` counts the nodes from this one downwards, `depth` the levels, aliases written out."""


@dataclass(frozen=True, slots=True)
class Document:
    root: Table

    def key(self, steps: Steps) -> Place:
        """Where the last step's key stands; of steps that the file lacks, the nearest above."""
        return self._walk(steps)[0]

    def value(self, steps: Steps) -> Place:
        """Where the value stands; of steps that the file lacks, the nearest above."""
        return self._walk(steps)[1].place

    def _walk(self, steps: Steps) -> tuple[Place, Node]:
        key = self.root.place
        node: Node = self.root
        for step in steps:
            match node, step:
                case Table(), str() if step in node.rows:
                    key, node = node.rows[step]
                case Listing(), int() if step < len(node.items):
                    node = node.items[step]
                    key = node.place
                case _:
                    break
        return key, node
