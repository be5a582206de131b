"""What an expression of a template may say, and of what kind its value is.

This module imports jinja2; only compiling the first template imports this module.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

from jinja2 import nodes

from sipagent.config.templates.kinds import (
    ALWAYS_TRUE,
    ATTRIBUTES,
    FILTERS,
    MAPPING_NAMES,
    MEMBERS,
    METHODS,
    NOTHING,
    NUMBER,
    NUMBERS,
    OUTSIDE,
    PRINTABLE,
    ROOTS,
    TESTS,
    TEXT,
    TEXTS,
    TIME,
    TRUTH,
    Kind,
    is_time_style,
    nouns,
)
from sipagent.config.words import closest, quoted

MAX_NUMBER: Final = 10**9
_LONGEST_NAME: Final = 40

_FORBIDDEN: Final = {
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from %}",
    nodes.Extends: "{% extends %}",
    nodes.Block: "{% block %}",
    nodes.Macro: "{% macro %}",
    nodes.CallBlock: "{% call %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.With: "{% with %}",
    nodes.AssignBlock: "{% set %} without a value",
    nodes.Scope: "{% autoescape %}",
    nodes.Slice: "a part of a text or list by [:]",
    nodes.Dict: "a mapping in braces",
}
_OPERATORS: Final = {
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
}


class Refused(Exception):  # noqa: N818 - a finding on its way up, not an error of the program
    """Why a template is refused. `word` stands somewhere in the line, unless `column` is known."""

    def __init__(
        self, line: int, word: str, message: str, hint: str | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.word = word
        self.message = message
        self.hint = hint


class Reads:
    """What a template reads: its variables, and the names of each mapping with their lines."""

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.members: dict[Kind, dict[str, int]] = {kind: {} for kind in MEMBERS}


class Expressions:
    """Finds the kind of each expression; `scope` holds what was set so far, with its kind."""

    def __init__(self) -> None:
        self.reads = Reads()
        self.scope: dict[str, Kind] = {}
        self.sometimes: set[str] = set()
        self._expressions: dict[type[nodes.Node], Callable[[Any], Kind]] = {
            nodes.TemplateData: lambda _: TEXT,
            nodes.Const: self._const,
            nodes.Name: self._name,
            nodes.Getattr: self._getattr,
            nodes.Getitem: self._getitem,
            nodes.Call: self._call,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Compare: self._compare,
            nodes.Not: self._not,
            nodes.And: self._either,
            nodes.Or: self._either,
            nodes.CondExpr: self._choice,
            nodes.Concat: self._concat,
            nodes.List: self._list,
            nodes.Tuple: self._list,
            nodes.Add: lambda node: self._sum(node, "+", [node.left, node.right]),
            nodes.Sub: lambda node: self._sum(node, "-", [node.left, node.right]),
            nodes.Neg: lambda node: self._sum(node, "-", [node.node]),
            nodes.Pos: lambda node: self._sum(node, "+", [node.node]),
        }

    def expression(self, node: nodes.Node) -> Kind:
        handler = self._expressions.get(type(node))
        if handler is None:
            refuse_node(node)
        return handler(node)

    def condition(self, node: nodes.Node) -> Kind:
        kind = self.expression(node)
        if kind & ALWAYS_TRUE:
            hint = f"write {shown(node)}.open" if kind == Kind.ENTRY else "name one of its values"
            raise Refused(node.lineno, word_of(node), f"{shown(node)} is always true", hint)
        return kind

    def _const(self, node: nodes.Const) -> Kind:
        match node.value:
            case None:
                return NOTHING
            case bool():
                return TRUTH
            case int() | float():
                if not abs(node.value) <= MAX_NUMBER:
                    raise Refused(node.lineno, "", "this number is too large")
                return NUMBER
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            raise Refused(node.lineno, "\\u", "this text holds half a character")
        return TEXT

    def _name(self, node: nodes.Name) -> Kind:
        if node.name in self.scope:
            return self.scope[node.name]
        if node.name in ROOTS:
            self.reads.roots.add(node.name)
            return ROOTS[node.name]
        if node.name in self.sometimes:
            message = f"{quoted(node.name)} is not set on every way here"
            hint = "set it before the if as well"
            raise Refused(node.lineno, node.name, message, hint)
        message = f"there is no variable {quoted(node.name)}"
        meant = _did_you_mean(node.name, {*ROOTS, *self.scope})
        hint = meant or f"your own are written vars.{node.name}"
        raise Refused(node.lineno, node.name, message, hint)

    def _getattr(self, node: nodes.Getattr) -> Kind:
        base, name = self.expression(node.node), node.attr
        if name.startswith("_"):
            raise Refused(node.lineno, name, f"{quoted(name)}: names that begin with _ are private")
        if base in MEMBERS:
            return self._member(base, name, node.lineno)
        known = ATTRIBUTES.get(base, {})
        if name in known:
            return known[name]
        if base == TIME and name in METHODS:
            raise Refused(node.lineno, name, f"{quoted(name)} is asked for", f"write {name}()")
        if not known:
            hint = "use |when, |time or |date" if base == TIME | NOTHING else None
            message = f"{shown(node.node)} is {nouns(base)} and has no {quoted(name)}"
            raise Refused(node.lineno, name, message, hint)
        hint = _did_you_mean(name, known) or "known are " + ", ".join(known)
        message = f"{shown(node.node)} has no {quoted(name)}"
        raise Refused(node.lineno, name, message, hint)

    def _getitem(self, node: nodes.Getitem) -> Kind:
        base = self.expression(node.node)
        if base not in MEMBERS:
            message = f"{shown(node.node)} has no values by [ ]"
            raise Refused(node.lineno, word_of(node.node), message)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return self._member(base, node.arg.value, node.lineno)
        if base == Kind.HOURS and shown(node.arg) == "number.hours":
            self.expression(node.arg)
            return MEMBERS[base]
        of = MAPPING_NAMES[base]
        message = f"the name of one of the {of} must be written out"
        raise Refused(node.lineno, of, message, f"{of}['name']")

    def _member(self, base: Kind, name: str, line: int) -> Kind:
        key = name.lower() if base == Kind.HEADERS else name
        self.reads.members[base].setdefault(key, line)
        return MEMBERS[base]

    def _call(self, node: nodes.Call) -> Kind:
        method = node.node
        if isinstance(method, nodes.Getattr) and method.attr in METHODS:
            kind = self.expression(method.node)
            if kind == TIME:
                return self._ask(method.attr, node)
            message = f"{shown(method.node)} is {nouns(kind)} and has no {method.attr}()"
            raise Refused(node.lineno, method.attr, message, "use |when, |time or |date")
        if is_items(node):
            raise Refused(node.lineno, "items", "items() stands in a for only")
        hint = "times have " + ", ".join(f"{name}()" for name in METHODS)
        raise Refused(node.lineno, word_of(node), f"there is no function {shown(method)}()", hint)

    def _ask(self, method: str, node: nodes.Call) -> Kind:
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Refused(node.lineno, method, f"{method}() takes no named values")
        if len(node.args) != (method == "strftime"):
            raise Refused(node.lineno, method, f"{method}() is not given the right values")
        for style in node.args:
            _verify_style(style, method)
        return METHODS[method]

    def _filter(self, node: nodes.Filter) -> Kind:
        known = FILTERS.get(node.name)
        if known is None or node.node is None:
            hint = _did_you_mean(node.name, FILTERS) or "known are " + ", ".join(sorted(FILTERS))
            raise Refused(node.lineno, node.name, f"there is no filter {quoted(node.name)}", hint)
        kind = self.expression(node.node)
        if kind & ~known.takes:
            raise _unfit(node, node.node, kind & ~known.takes)
        arguments = self._arguments(node, len(known.arguments), known.fewest)
        for argument, fit in zip(arguments, known.arguments, strict=False):
            given = self.expression(argument)
            if given & ~fit:
                raise _unfit(node, argument, given & ~fit)
            if known.style:
                _verify_style(argument, node.name)
        if node.name in {"default", "d"}:
            return kind & ~NOTHING | self.expression(arguments[0])
        return kind if known.gives is None else known.gives | kind & NOTHING & ~known.gives

    def _arguments(self, node: nodes.Filter, most: int, fewest: int) -> Sequence[nodes.Expr]:
        given = list(node.args)
        named: dict[Any, nodes.Expr] = {pair.key: pair.value for pair in node.kwargs}
        if node.name in {"default", "d"} and len(given) == 1 and list(named) == ["boolean"]:
            given.append(named.pop("boolean"))
        unusual = named or node.dyn_args or node.dyn_kwargs
        if unusual or not fewest <= len(given) <= most:
            message = f"|{node.name} is not given the right values"
            example = "|default('...')" if fewest == 1 else "|replace('old', 'new')"
            raise Refused(node.lineno, node.name, message, example if fewest else None)
        return given

    def _test(self, node: nodes.Test) -> Kind:
        self.expression(node.node)
        if node.name not in TESTS or node.args or node.kwargs:
            message = f"there is no test {quoted(node.name)}"
            hint = "is defined, is undefined and is none; compare with == or in"
            raise Refused(node.lineno, node.name, message, hint)
        return TRUTH

    def _compare(self, node: nodes.Compare) -> Kind:
        left, first = self.expression(node.expr), node.expr
        for operand in node.ops:
            right = self.expression(operand.expr)
            if not _comparable(operand.op, left, right):
                message = f"{shown(first)}, {nouns(left)}, cannot be compared so with "
                hint = (
                    "a text becomes a number by |int" if TEXT & left and right == NUMBER else None
                )
                raise Refused(node.lineno, word_of(first), message + nouns(right), hint)
            left, first = right, operand.expr
        return TRUTH

    def _not(self, node: nodes.Not) -> Kind:
        self.condition(node.node)
        return TRUTH

    def _either(self, node: nodes.BinExpr) -> Kind:
        return self.condition(node.left) | self.condition(node.right)

    def _choice(self, node: nodes.CondExpr) -> Kind:
        self.condition(node.test)
        otherwise = NOTHING if node.expr2 is None else self.expression(node.expr2)
        return self.expression(node.expr1) | otherwise

    def _concat(self, node: nodes.Concat) -> Kind:
        for part in node.nodes:
            kind = self.expression(part)
            if kind & ~(TEXT | NUMBER | NOTHING):
                message = f"{shown(part)} is {nouns(kind)} and cannot be joined by ~"
                hint = "print it in braces of its own" if kind & PRINTABLE else None
                raise Refused(part.lineno, word_of(part), message, hint)
        return TEXT

    def _list(self, node: nodes.List) -> Kind:
        kinds = {self.expression(item) for item in node.items}
        if kinds <= {TEXT}:
            return TEXTS
        if kinds == {NUMBER}:
            return NUMBERS
        message = "a list holds either texts or numbers"
        hint = "texts from the caller stand in no list; |default('') for what may be nothing"
        raise Refused(node.lineno, "[", message, hint)

    def _sum(self, node: nodes.Node, sign: str, operands: Iterable[nodes.Node]) -> Kind:
        for operand in operands:
            if isinstance(operand, nodes.Name) and operand.name not in {*self.scope, *ROOTS}:
                hint = "a name with - is written in brackets: headers['x-store-id']"
                message = f"there is no variable {quoted(operand.name)}"
                raise Refused(node.lineno, operand.name, message, hint)
            if self.expression(operand) != NUMBER:
                hint = "join texts by ~" if sign == "+" else "write headers['x-store-id']"
                message = f"{sign} takes numbers, and {shown(operand)} is none"
                raise Refused(node.lineno, word_of(operand), message, hint)
        return NUMBER


def _comparable(operator: str, left: Kind, right: Kind) -> bool:
    if operator in {"in", "notin"}:
        return (
            (right == TEXTS and not left & ~(TEXT | OUTSIDE | NOTHING))
            or (right == NUMBERS and left == NUMBER)
            or (right == TEXT and left == TEXT)
        )
    if operator in {"eq", "ne"}:
        texts = TEXT | OUTSIDE
        alike = left & right & ~NOTHING or (left & texts and right & texts)
        return not (left | right) & ~PRINTABLE and bool(alike or NOTHING in {left, right})
    return left == right and left in {NUMBER, TIME}


def _verify_style(style: nodes.Node, name: str) -> None:
    if isinstance(style, nodes.Const) and isinstance(style.value, str):
        if is_time_style(style.value):
            return
        hint = "for instance '%d/%m/%Y' or '%H:%M'"
        raise Refused(style.lineno, name, "this is no way to write a time", hint)
    raise Refused(style.lineno, name, f"how {name} writes a time must be written out")


def _unfit(node: nodes.Filter, value: nodes.Node, kind: Kind) -> Refused:
    message = f"|{node.name} cannot be used with {nouns(kind)}"
    if kind & OUTSIDE:
        fit = ", ".join(sorted(name for name, known in FILTERS.items() if OUTSIDE in known.takes))
        hint: str | None = f"text from the caller takes {fit}"
    else:
        hint = "say what stands for nothing: |default('...')" if kind == NOTHING else None
    return Refused(value.lineno, node.name, message, hint)


def refuse_node(node: nodes.Node) -> NoReturn:
    kind = type(node)
    if kind in _OPERATORS:
        sign = _OPERATORS[kind]
        raise Refused(node.lineno, "", f"{sign} is not available in templates", "numbers take + -")
    what = _FORBIDDEN.get(kind, "this")
    word = what.removeprefix("{% ").split(" ")[0]
    hint = "if, for over vars, hours or headers, and set are"
    raise Refused(node.lineno, word, f"{what} is not available in templates", hint)


def _did_you_mean(name: str, names: Iterable[str]) -> str | None:
    meant = closest(name, names)
    return None if meant is None else f"did you mean {quoted(meant)}?"


def word_of(node: nodes.Node) -> str:
    """A word of the source by which the expression is found in its line."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return node.attr
        case nodes.Filter():
            return node.name
        case nodes.Call() | nodes.Getitem() | nodes.Test():
            return word_of(node.node)
    return ""


def shown(node: nodes.Node) -> str:
    """The expression as it is written, if it is a simple one."""
    match node:
        case nodes.Name():
            return node.name if len(node.name) < _LONGEST_NAME else "this"
        case nodes.Getattr():
            return f"{shown(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=name)):
            return f"{shown(node.node)}[{quoted(str(name))}]"
    return "this"


def is_items(node: nodes.Node) -> bool:
    """Whether this asks something for its items()."""
    return (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Getattr)
        and node.node.attr == "items"
        and not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
    )
