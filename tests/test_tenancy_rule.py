"""A rule of the house: whatever touches customers' data is told whose, first, and asks for nothing else.

What is done for all customers at once says "For operators" or "For the house" in its docstring, and why it may.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hermes.storage.schema import load_models

SOURCES = Path(__file__).parent.parent / "src" / "hermes"
OUTSIDE = ("sandbox", "migrations", "commands")
FILES = sorted(path for path in SOURCES.rglob("*.py") if not set(path.relative_to(SOURCES).parts) & set(OUTSIDE))
STATEMENTS = {"select", "update", "delete"}
MARK = re.compile(r"\bFor (operators|the house)\b")
WHOSE = ("customer_id", "caller", "claim", "read")
"""The customer's id, or what was made from it: a caller, a claim on a customer's long call, a key as it was read."""
FAMILIES = {
    "creds", "creds_version", "log_seq", "log_ids", "logs", "quota", "rate", "pending", "idem", "platform_health",
    "webhook_dlq", "sse", "customer:version",
}  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """A function, with what stands around it."""

    path: Path
    owner: ast.ClassDef | None
    function: Function

    @property
    def name(self) -> str:
        owner = f"{self.owner.name}." if self.owner else ""
        return f"{self.path.relative_to(SOURCES)}:{self.function.lineno} {owner}{self.function.name}"

    @property
    def marked(self) -> bool:
        docs = [ast.get_docstring(node) or "" for node in (self.function, self.owner) if node is not None]
        return any(MARK.search(doc) for doc in docs)

    @property
    def first(self) -> str:
        """The first argument that is data: not the object itself, and not a session that a transaction hands on."""
        names = [argument.arg for argument in self.function.args.args if argument.arg not in ("self", "session")]
        return names[0] if names else ""


def functions(path: Path) -> Iterator[Found]:
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, Function):
            yield Found(path, None, node)
        elif isinstance(node, ast.ClassDef):
            yield from (Found(path, node, member) for member in node.body if isinstance(member, Function))


def customers_tables() -> set[str]:
    """The models whose tables say whose each row is."""
    load_models()
    from hermes.storage.sql import Base  # noqa: PLC0415  (after the models are known)

    return {mapper.class_.__name__ for mapper in Base.registry.mappers if "customer_id" in mapper.columns}


def touched(found: Found, tables: set[str]) -> bool:
    """Whether the function reads or changes rows of customers by itself."""
    for node in ast.walk(found.function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in STATEMENTS:
            named = {part.id for part in ast.walk(found.function) if isinstance(part, ast.Name)}
            if named & tables:
                return True
    return False


def filters(found: Found) -> bool:
    """Whether some condition of the function compares with the customer's id."""
    return re.search(r"\bcustomer_id == ", ast.unparse(found.function)) is not None


def conditions() -> set[str]:
    """Functions that make such a condition for others."""
    return {one.function.name for path in FILES for one in functions(path) if one.owner is None and filters(one)}


def test_there_is_something_to_hold_the_rule_against() -> None:
    assert {"ApiKey", "ConnectionRow", "Usage", "MessageRow", "MessageStatusRow"} <= customers_tables()
    assert len([one for path in FILES for one in functions(path) if touched(one, customers_tables())]) > 10


def test_sql_on_customers_rows_takes_the_customer_first_and_filters_by_it() -> None:
    tables = customers_tables()
    made = conditions()
    wrong = []
    for found in (one for path in FILES for one in functions(path)):
        if touched(found, tables) and not found.marked:
            nodes = list(ast.walk(found.function))
            used = {node.id for node in nodes if isinstance(node, ast.Name)}
            used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            if found.first not in WHOSE or not (filters(found) or used & made):
                wrong.append(found.name)
    assert wrong == [], "take customer_id first and filter by it, or say in the docstring why it is for all customers"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_redis_keys_of_customers_begin_with_the_customer(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            prefix = str(node.values[0].value)
            family, colon, rest = prefix.rpartition(":")
            if colon and family in FAMILIES:
                whose = ast.unparse(node.values[1]) if len(node.values) > 1 and not rest else prefix
                if not whose.strip("{}").endswith(("customer_id", "member")):
                    wrong.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            family, _, rest = node.value.partition(":")
            if family in FAMILIES and rest and " " not in rest and rest != "index":
                wrong.append(f"{node.lineno}: {node.value!r} is one key for all customers")
    assert wrong == []
