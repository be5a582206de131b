"""From a file's text to its tree, within limits that no text can exceed.

The tree is built from PyYAML's events and not by its composer: the composer resolves scalars by
YAML 1.1 and calls itself for each level, and a level check comes too late there.
"""

import re
from dataclasses import dataclass
from typing import Final, cast

import yaml

from sipagent.config.findings import START, Findings, Place, Steps
from sipagent.config.yamlfile.document import Document, Listing, Node, Row, Scalar, Table
from sipagent.config.yamlfile.syntax import explain_syntax, place_at

MAX_DEPTH: Final = 32
MAX_ALIASES: Final = 50
MAX_NODES: Final = 200_000

_BOM: Final = "\ufeff"
# YAML 1.2 section 5.1, c-printable; a BOM within the text is allowed there and never meant.
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def read(
    text: str,
    findings: Findings,
    keys: str = "version, agents and numbers",
    begin: str = "version: 1",
) -> Document:
    """The tree of a text that holds one mapping, with these `keys`. Raises ConfigError where no
    tree can be built; what is wrong with single keys is added to the findings."""
    text = text.removeprefix(_BOM)
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        what = f"the character U+{ord(odd.group()):04X} cannot stand in YAML"
        findings.fail(place_at(text, odd.start()), (), what, "delete it, or write it as an escape")
    builder = _Builder(findings)
    loader = yaml.CSafeLoader(text)
    try:
        while loader.check_event():
            builder.take(loader.get_event())
    except yaml.MarkedYAMLError as error:
        explain_syntax(error, text, findings)
    finally:
        loader.dispose()
    root = builder.root
    if root is None or (isinstance(root, Scalar) and root.plain and not root.text):
        findings.fail(START, (), "the file is empty", f"begin with `{begin}`")
    if not isinstance(root, Table):
        what = f"the file must be a mapping with the keys {keys}"
        findings.fail(root.place, (), what)
    return Document(root)


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is still open. `key` waits for its value; a `broken` one has been
    reported and holds nothing that could be used."""

    node: Listing | Table
    anchor: str | None
    key: str | None = None
    key_place: Place = START
    broken: bool = False

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.node, Table) and self.key is None


class _Builder:
    """Takes events one by one; `root` is the tree of those taken so far."""

    def __init__(self, findings: Findings) -> None:
        self.root: Node | None = None
        self._findings = findings
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._aliases = 0

    def take(self, event: yaml.Event | None) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open(Table(_place(event)), event)
            case yaml.SequenceStartEvent():
                self._open(Listing(_place(event)), event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._document(event)
            case _:
                pass

    def _document(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            what = "a second YAML document begins here"
            self._findings.fail(_place(event), (), what, "one file holds one document")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        node = Scalar(_place(event), event.value, plain=event.implicit[0])
        self._refuse_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._put(node, node.place)

    def _open(self, node: Listing | Table, event: yaml.CollectionStartEvent) -> None:
        self._refuse_tag(event)
        self._refuse_depth(node, node.place)
        self._frames.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        place = frame.node.place
        node = Scalar(place, "", plain=False) if frame.broken else frame.node
        if frame.anchor is not None:
            self._anchors[frame.anchor] = node
        self._put(node, place)

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._aliases += 1
        place = _place(event)
        if self._aliases > MAX_ALIASES:
            what = f"the file uses more than {MAX_ALIASES} aliases"
            self._findings.fail(place, (), what, "put what agents share under `defaults`")
        name = event.anchor or ""
        node = self._anchors.get(name)
        if node is None:
            what = "this alias has no anchor before it"  # it may be a secret that begins with *
            hint = 'a text or a number that begins with * needs quotes, as in "*"'
            self._findings.fail(place, (), what, hint)
        self._put(node, place)

    def _put(self, node: Node, place: Place) -> None:
        """Hangs a finished node where it belongs: the root, a list's end, a key or its value."""
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        if frame.awaits_key:
            frame.key, frame.key_place = self._key(frame, node), place
            return
        self._refuse_depth(node, place)
        frame.node.depth = max(frame.node.depth, node.depth + 1)
        frame.node.size += node.size + isinstance(frame.node, Table)
        if frame.node.size > MAX_NODES:
            what = f"the file has more than {MAX_NODES:,} values when its aliases are written out"
            self._findings.fail(place, (), what)
        if isinstance(frame.node, Listing):
            frame.node.items.append(node)
        elif frame.key is not None:
            self._row(frame, frame.node, frame.key, node)
            frame.key = None

    def _key(self, frame: _Frame, node: Node) -> str:
        if isinstance(node, Scalar):
            return node.text
        frame.broken = True
        hint = "a value that begins with { or [ needs quotes"
        what = "a list or mapping cannot be a key"
        self._findings.add(frame.node.place, self._steps(), what, hint)
        return ""

    def _row(self, frame: _Frame, table: Table, key: str, value: Node) -> None:
        if key == "<<":
            hint = "put what agents share under `defaults`"
            what = "merge keys (<<) are not supported"
            self._findings.add(frame.key_place, self._steps(), what, hint)
        elif key in table.rows:
            first = table.rows[key].key
            what = f"the key stands twice; the first is in line {first.line}, column {first.column}"
            self._findings.add(frame.key_place, self._steps(), what, "keep one of the two")
        else:
            table.rows[key] = Row(frame.key_place, value)

    def _refuse_depth(self, node: Node, place: Place) -> None:
        if len(self._frames) + node.depth > MAX_DEPTH:
            what = f"lists and mappings are nested more than {MAX_DEPTH} deep"
            self._findings.fail(place, (), what)

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            what = "tags are not supported"  # it may be a secret that begins with !
            hint = "write the value without a tag; quotes make it text"
            self._findings.add(_place(event), self._steps(), what, hint)

    def _steps(self) -> Steps:
        """The way to the value that is read now, as far as its keys are known."""
        steps: list[str | int] = []
        for frame in self._frames:
            if isinstance(frame.node, Listing):
                steps.append(len(frame.node.items))
            elif frame.key is not None:
                steps.append(frame.key)
        return tuple(steps)


def _place(event: yaml.Event) -> Place:
    mark = cast("yaml.Mark", event.start_mark)
    return Place(mark.line + 1, mark.column + 1)
