"""Golden exchanges (tests/golden) replayed to a vendor's SDK, and read as the kind's file (src/providers/kinds) says.

The SDK has to send what the file says that offboard sends: method, path, query, named headers and body. Anything else is
noted as a difference, and what has no answer is answered 501.
"""

import json
import pathlib
import re
import sys
import tomllib
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import graphql

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "e2e" / "common"))

from blocking import Server

ABSENT = "nothing"


class Account(NamedTuple):
    """An account as the SDK, or offboard, reads it. `inactive` is `None` where the kind has no such state."""

    id: str
    email: str
    inactive: bool | None = None


class Exchange(NamedTuple):
    method: str
    target: str
    headers: dict
    body: object
    status: int
    answered: dict
    answer: object


class Case:
    """One file of golden exchanges: those of its invitations, or the others."""

    def __init__(self, kind, name, invitations=False):
        text = (ROOT / "tests" / "golden" / kind / f"{name}.http").read_text()
        self.name = f"{kind}/{name}"
        parts = re.split(r"^(=== .*|>>> .*|<<< .*)\n", text, flags=re.MULTILINE)
        self.exchanges, self.sections = [], {}
        for head, content in zip(parts[1::2], parts[2::2]):
            mark, _, rest = head.partition(" ")
            if mark == "===":
                self.sections[rest] = content
            elif mark == ">>>":
                asked = (rest, *message(content))
            else:
                # Look-ups of a product go side by side, each in its lane.
                *lane, method, target = asked[0].split(" ")
                if (lane == ["[invitation]"]) == invitations:
                    self.exchanges.append(Exchange(method, target, *asked[1:], int(rest), *message(content)))
        self.secret = json.loads(self.sections["secret"])
        self.settings = tomllib.loads(self.sections.get("provider", ""))
        self.email = tomllib.loads(self.sections["person"])["email"]


def message(content):
    """The headers and the JSON of one half of an exchange."""
    head, _, body = content.partition("\n\n") if not content.startswith("\n") else ("", "", content)
    headers = dict(line.split(": ", 1) for line in head.splitlines() if line)
    return {name.lower(): value for name, value in headers.items()}, json.loads(body) if body.strip() else None


def exists(kind, name):
    return (ROOT / "tests" / "golden" / kind / f"{name}.http").exists()


class Replay:
    """Answers the SDK of a `Product` from a case, in its order."""

    def __init__(self, case, kind, product):
        self.case, self.product, self.token_path = case, product, kind.token_path.format(**case.settings)
        self.next, self.differences, self.server = 0, set(), Server(self.reply)

    def reply(self, method, path, headers, body):
        extra = self.product.extra(method, path, self.server.url)
        if extra is not None:
            return 200, {"content-type": "application/json"}, json.dumps(extra).encode()
        if self.is_over():
            return self.refuse(f"{method} {path}, beyond the last exchange")
        expected = self.case.exchanges[self.next]
        target = self.token_path if expected.target == "/token" else self.product.base + expected.target
        if (method, segments(path)) != (expected.method, segments(target)):
            return self.refuse(f"{method} {path}, not {expected.method} {target}")
        self.next += 1
        self.compare(expected, path, headers, body)
        answer = json.loads(json.dumps(expected.answer).replace("$host", self.server.url))
        if expected.status < 300 and answer is not None:
            self.product.complete(answer)
        data = b"" if expected.answer is None else json.dumps(answer).encode()
        content = {"content-type": "application/json"} if data else {}
        return expected.status, content | expected.answered, data

    def refuse(self, what):
        self.differences.add(f"request: {what}")
        return 501, {}, b"{}"

    def compare(self, expected, path, headers, body):
        self.note("query", query(expected.target), query(path))
        self.note("header", expected.headers, {name: headers[name] for name in expected.headers if name in headers})
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            sent = dict(parse_qsl(body.decode(), keep_blank_values=True))
        else:
            sent = json.loads(body) if body else None
        if isinstance(expected.body, dict) and "query" in expected.body:
            ours, theirs = operation(**expected.body), operation(**sent)
            self.note("argument", ours.arguments, theirs.arguments)
            self.note("selection", dict.fromkeys(ours.selected), dict.fromkeys(ours.selected & theirs.selected))
            self.note("operation", {"name": ours.name}, {"name": theirs.name})
        else:
            self.note("body", leaves(expected.body), leaves(sent))

    def note(self, place, golden, sent):
        for key in golden.keys() | sent.keys():
            ours, theirs = golden.get(key, ABSENT), sent.get(key, ABSENT)
            if ours != theirs:
                self.differences.add(f"{place} {key}: {theirs}, not {ours}")

    def is_over(self):
        return self.next == len(self.case.exchanges)

    def end(self):
        self.server.end()


def segments(target):
    return [unquote(segment) for segment in urlsplit(target).path.split("/")]


def query(target):
    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))


def leaves(value, path=""):
    """The scalars of a document by their pointer. An empty object is one as well."""
    if isinstance(value, (dict, list)) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, part in pairs for key, leaf in leaves(part, f"{path}/{name}").items()}
    return {} if value is None and not path else {path or "/": value}


class Operation(NamedTuple):
    """The one field of a GraphQL operation: its name, its arguments that are given, and the fields that are selected."""

    name: str
    arguments: dict
    selected: set


def operation(query, variables=None, **_):
    document = graphql.parse(query)
    fragments = {each.name.value: each for each in document.definitions if each.kind == "fragment_definition"}
    [root] = [each for each in document.definitions if each.kind == "operation_definition"]
    [field] = root.selection_set.selections
    given = {each.name.value: graphql.value_from_ast_untyped(each.value, variables or {}) for each in field.arguments}
    arguments = {name: value for name, value in given.items() if value not in (None, graphql.Undefined)}
    return Operation(field.name.value, leaves(arguments), set(selected(field, fragments, "")))


def selected(field, fragments, path):
    """The paths of the scalars that are selected."""
    if not field.selection_set:
        yield path
        return
    for each in field.selection_set.selections:
        if each.kind == "fragment_spread":
            yield from selected(fragments[each.name.value], fragments, path)
        else:
            yield from selected(each, fragments, path if each.kind == "inline_fragment" else f"{path}/{each.name.value}")


# ---- What offboard reads --------------------------------------------------------------------------------------------


class Kind:
    """A kind's file, as far as it says who an answer shows."""

    def __init__(self, name):
        self.name = name
        self.file = tomllib.loads((ROOT / "src" / "providers" / "kinds" / f"{name}.toml").read_text())
        # The cases name a path of their own for tokens.
        token_url = self.file.get("auth", {}).get("oauth", {}).get("token_url", "")
        self.token_path = urlsplit(token_url).path

    def hosts(self):
        """The hosts that the settings lead to, the default one first."""
        [template] = re.findall("https://([^/]+)", self.file["http"]["base_url"])
        variables = [name for name in re.findall(r"{(\w+)}", template) if "one_of" in self.file["settings"][name]]
        if not variables:
            return [template]
        setting = self.file["settings"][variables[0]]
        values = sorted(setting["one_of"], key=lambda value: value != setting["default"])
        return [template.replace(f"{{{variables[0]}}}", value) for value in values]

    def accounts(self, exchanges):
        """The accounts that these answers show. What is skipped is not shown."""
        return [account for exchange in exchanges for account in self.shown(exchange)]

    def shown(self, exchange):
        finds = [find for find in self.file["find"].values() if looks_up(find, exchange)]
        if exchange.status != 200 or not finds:
            return
        [find] = finds
        for item in [exchange.answer] if "object" in find else pointed(exchange.answer, find["items"]):
            if any(holds(item, {pointer: value}) for pointer, value in find.get("skip", {}).items()):
                continue
            emails = find["email"] if isinstance(find["email"], list) else [find["email"]]
            email = next(found for pointer in emails for found in at(item, pointer) if found)
            inactive = holds(item, find["inactive"]) if "inactive" in find else None
            yield Account(str(next(at(item, find["id"]))), email, inactive)


def looks_up(find, exchange):
    if "graphql" in find:
        return exchange.body and exchange.body.get("query") == find["graphql"]
    pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(find["get"]))
    return exchange.method == "GET" and re.search(pattern + "$", urlsplit(exchange.target).path)


def pointed(document, pointer):
    return next(at(document, pointer))


def at(document, pointer):
    """The values at a pointer, in which `*` stands for every item."""
    if not pointer:
        yield document
        return
    first, _, rest = pointer[1:].partition("/")
    rest = rest and "/" + rest
    if first == "*":
        for item in document or []:
            yield from at(item, rest)
    elif isinstance(document, list) and first.isdigit() and int(first) < len(document):
        yield from at(document[int(first)], rest)
    elif isinstance(document, dict) and first in document:
        yield from at(document[first], rest)


def holds(document, conditions):
    def one(pointer, value):
        return any(found in value if isinstance(value, list) else found == value for found in at(document, pointer))

    return all(one(pointer, value) for pointer, value in conditions.items())
