"""What a template may say: a small part of Jinja, in which each value is of a known kind.

This module imports jinja2; only compiling the first template imports this module.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from sipagent.config.templates.expressions import (
    Expressions,
    Reads,
    Refused,
    is_items,
    refuse_node,
    shown,
    word_of,
)
from sipagent.config.templates.filters import CONCAT, NAMES, PAIRS
from sipagent.config.templates.kinds import (
    LISTS,
    MAPPING_NAMES,
    MEMBER_NAMES,
    MEMBERS,
    PRINTABLE,
    ROOTS,
    TEXT,
    Kind,
)
from sipagent.config.words import quoted

MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 40

AS_IT_IS: Final = "to print braces, write {% raw %} before them and {% endraw %} behind"

_NEWLINE: Final = re.compile(r"\r\n|\r|\n")
_ENDS: Final = ("%}", "#}")
_UNCLOSED: Final[Mapping[str, str]] = {"comment_begin": "{#", "raw_begin": "{% raw %}"}
"""The tokens that only the end of the text can follow where what they begin is not closed."""


def check(tree: nodes.Template) -> Reads:
    """What the template reads. Raises Refused for the first thing in it that is not allowed."""
    _measure(tree)
    checker = _Checker()
    checker.statements(tree.body)
    return checker.reads


def _measure(tree: nodes.Node) -> None:
    count, level = 0, [tree]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        count += len(level)
        if count > MAX_NODES:
            raise Refused(level[0].lineno, "", "is too long a template", "write it as plain text")
        level = [child for node in level for child in node.iter_child_nodes()]
    if level:
        raise Refused(level[0].lineno, "", "is nested too deeply")


class _Checker:
    """Walks a template in the order in which it is rendered."""

    def __init__(self) -> None:
        self._values = Expressions()
        self._looping = False
        self._outer: frozenset[str] = frozenset()
        self._statements: dict[type[nodes.Node], Callable[[Any], None]] = {
            nodes.Output: self._output,
            nodes.If: self._if,
            nodes.For: self._for,
            nodes.Assign: self._assign,
        }

    @property
    def reads(self) -> Reads:
        return self._values.reads

    def statements(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            handler = self._statements.get(type(node))
            if handler is None:
                refuse_node(node)
            handler(node)

    def _output(self, node: nodes.Output) -> None:
        for child in node.nodes:
            kind = self._values.expression(child)
            if kind & ~PRINTABLE:
                hint = "print one of its values" if kind & ~LISTS else "join it: |join(', ')"
                raise Refused(child.lineno, word_of(child), f"{shown(child)} is no text", hint)

    def _if(self, node: nodes.If) -> None:
        before, after = self._values.scope, []
        for branch in (node, *node.elif_):
            self._values.scope = dict(before)
            self._values.condition(branch.test)
            self.statements(branch.body)
            after.append(self._values.scope)
        self._values.scope = dict(before)
        self.statements(node.else_)
        after.append(self._values.scope)
        self._values.sometimes.update(*after)
        certain = set.intersection(*(set(scope) for scope in after))
        self._values.scope = {name: _union(scope[name] for scope in after) for name in certain}

    def _for(self, node: nodes.For) -> None:
        if self._looping:
            raise Refused(node.lineno, "for", "a loop cannot stand within a loop")
        if node.recursive:
            raise Refused(node.lineno, "recursive", "a loop cannot be recursive")
        before, self._looping = self._values.scope, True
        self._values.scope = before | self._loop_names(node)
        if node.test is not None:
            self._values.condition(node.test)
        self._values.scope = self._values.scope | {"loop": Kind.LOOP}
        self._outer = frozenset(self._values.scope)
        self.statements(node.body)
        self._values.scope, self._looping = dict(before), False
        self.statements(node.else_)

    def _loop_names(self, node: nodes.For) -> dict[str, Kind]:
        source, target = node.iter, node.target
        pairs = isinstance(source, nodes.Call) and isinstance(source.node, nodes.Getattr)
        name = source.node.node if pairs else source  # type: ignore[attr-defined]
        kind = self._values.expression(name) if isinstance(name, nodes.Name) else TEXT
        if kind not in MEMBERS or (pairs and not is_items(source)):
            hint = "for name, value in vars.items(); also over hours and headers"
            raise Refused(node.lineno, "for", "a loop runs over vars, hours or headers only", hint)
        targets = target.items if isinstance(target, nodes.Tuple) else [target]
        names = [each.name for each in targets if isinstance(each, nodes.Name)]
        if len(names) != len(targets) or len(names) != 1 + pairs or len(set(names)) != len(names):
            of = MAPPING_NAMES[kind]
            hint = f"for name, value in {of}.items(), or: for name in {of}"
            raise Refused(node.lineno, "for", "the names of this loop do not fit", hint)
        for each in names:
            self._verify_new(each, node.lineno)
        return dict(zip(names, (MEMBER_NAMES[kind], MEMBERS[kind]), strict=False))

    def _assign(self, node: nodes.Assign) -> None:
        if not isinstance(node.target, nodes.Name):
            raise Refused(node.lineno, "set", "one {% set %} sets one name")
        name, kind = node.target.name, self._values.expression(node.node)
        self._verify_new(name, node.lineno)
        if self._looping and name in self._outer:
            hint = "what a loop sets is forgotten when the loop ends"
            raise Refused(node.lineno, name, f"{quoted(name)} was set outside of this loop", hint)
        if kind & ~(PRINTABLE | LISTS):
            raise Refused(node.lineno, name, "a name can be set to one value, not to a group")
        self._values.scope[name] = kind

    def _verify_new(self, name: str, line: int) -> None:
        if name in ROOTS or name in {"loop", "self"}:
            raise Refused(line, name, f"{quoted(name)} is taken", "choose another name")
        if name.startswith("_") or not name.isascii():
            raise Refused(line, name, "names are of a-z, A-Z, 0-9 and _ and begin with a letter")


def _union(kinds: Iterable[Kind]) -> Kind:
    united = Kind(0)
    for kind in kinds:
        united |= kind
    return united


def with_line_ends(source: str, lexer: Environment) -> str:
    """The source, in which a tag at the end of a line of text keeps that line's end.

    Jinja would take the line's end from each tag, and glue the next line to the text. `lexer` is an
    environment that leaves them all. Lines keep their numbers. Raises Refused for a comment or a
    raw part that is not closed, which at the end of a text Jinja takes for a whole one.
    """
    source = "\n".join(_NEWLINE.split(source))
    pieces: list[str] = []
    end, token, bare = 0, "", True
    try:
        for _, token, piece in lexer.lex(source):
            at = source.index(piece, end)
            if pieces and pieces[-1] in _ENDS and not bare and piece.startswith("\n"):
                pieces[-1] = f"+{pieces[-1]}"
            if token == "data":  # noqa: S105 - a kind of token, not a secret
                _, newline, tail = piece.rpartition("\n")
                bare = not tail.strip() and (bare or bool(newline))
            elif token == "variable_begin":  # noqa: S105
                bare = False
            # A tag such as {%- takes the space before it away, and no piece holds that.
            pieces.append(source[end:at] + piece)
            end = at + len(piece)
    except TemplateSyntaxError:
        if token not in _UNCLOSED:
            raise
    if token in _UNCLOSED:
        begun = source.rindex("{", 0, end)
        line, column = source.count("\n", 0, begun) + 1, begun - source.rfind("\n", 0, begun)
        message = f"{_UNCLOSED[token]} is never closed"
        raise Refused(line, "", message, AS_IT_IS, column=column)
    return "".join(pieces)


def rewrite(tree: nodes.Template, environment: Environment) -> nodes.Template:
    """The checked template, such that nothing in it can make long texts or loops unnoticed.

    `vars.x` becomes `vars['x']`, so that no name is hidden by a method; `~` and what a loop runs
    over become filters that count; a choice without else gives nothing.
    """
    rewritten: nodes.Template = _Rewriter().visit(tree)
    rewritten.set_environment(environment)
    return rewritten


class _Rewriter(NodeTransformer):
    def get_visitor(self, node: nodes.Node) -> Callable[..., nodes.Node] | None:
        match node:
            case nodes.Getattr():
                return self._member
            case nodes.Getitem():
                return self._by_name
            case nodes.Concat():
                return self._concat
            case nodes.CondExpr():
                return self._choice
            case nodes.For():
                return self._loop
        return None

    def _member(self, node: nodes.Getattr) -> nodes.Node:
        self.generic_visit(node)
        if not (isinstance(node.node, nodes.Name) and node.node.name in MAPPING_NAMES.values()):
            return node
        name = nodes.Const(node.attr, lineno=node.lineno)
        return self._by_name(nodes.Getitem(node.node, name, "load", lineno=node.lineno))

    def _by_name(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if node.node == nodes.Name("headers", "load") and isinstance(node.arg, nodes.Const):
            node.arg.value = node.arg.value.lower()
        return node

    def _concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCAT)

    def _choice(self, node: nodes.CondExpr) -> nodes.Node:
        self.generic_visit(node)
        node.expr2 = node.expr2 or nodes.Const(None, lineno=node.lineno)
        return node

    def _loop(self, node: nodes.For) -> nodes.Node:
        pairs = isinstance(node.iter, nodes.Call)
        source = node.iter.node.node if pairs else node.iter  # type: ignore[attr-defined]
        size = nodes.Const(_size(node), lineno=node.lineno)
        node.iter = _filter(source, PAIRS if pairs else NAMES, size)
        self.generic_visit(node)
        return node


def _filter(value: Any, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(arguments), [], None, None, lineno=value.lineno)


def _size(node: nodes.Node) -> int:
    return 1 + sum(_size(child) for child in node.iter_child_nodes())
