"""Setting customers' approval rules (identity/approval_rules.py): only people do, signed in, or operators for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select, update

from hermes.connections.names import LABEL
from hermes.errors import InvalidArguments, NotFound, NotGranted
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.approval_rules import RULES, ApprovalRule, ApprovalRules, Rule
from hermes.identity.caller import Caller, Via
from hermes.identity.changes import CustomerChanges
from hermes.identity.models import Customer
from hermes.platforms.base import Effect
from hermes.platforms.catalog import Catalog
from hermes.storage.sql import Database

MOST_RULES: Final = 300
_RULES: Final[Mapping[str, Rule]] = {rule: rule for rule in RULES}


def require_person(caller: Caller) -> None:
    """Let only people through: an assistant must not loosen what it is held to, nor say yes to itself.

    Raises:
        NotGranted: it is an API key or an assistant.
    """
    if caller.via is not Via.SESSION and caller.kind != "operator":
        raise NotGranted(
            "Only a person who is signed in may decide this, on the page /approvals; an API key or an assistant cannot."
        )


class RuleBook:
    """Every customer's rules."""

    def __init__(self, database: Database, changes: CustomerChanges, catalog: Catalog, audit: ActionAudit) -> None:
        self._database = database
        self._changes = changes
        self._catalog = catalog
        self._audit = audit

    async def of(self, customer_id: str) -> ApprovalRules:
        """The customer's rules.

        Raises:
            NotFound: there is no such customer.
        """
        async with self._database.reading() as session:
            customer = await session.get(Customer, customer_id)
        if customer is None:
            raise NotFound(f"There is no customer {customer_id!r}; `hermes customers list` shows them.")
        return ApprovalRules.stored(customer.approval_rules)

    async def set(self, customer_id: str, target: str, rule: str, *, by: Caller) -> ApprovalRules:
        """Set a rule; calls are held against it within five seconds everywhere.

        Args:
            target: a tool's name, `platform:label` for one account, or a platform's id.
            rule: `allow`, `ask` or `never`.
            by: who sets it.

        Raises:
            NotGranted: it is no person.
            InvalidArguments: there is no such target or rule, or the rule makes no sense there.
        """
        require_person(by)
        wanted = self._checked(target, rule, by)
        rules = await self._change(customer_id, wanted, target)
        await audit_action(self._audit, customer_id, by, "approval_rule.set", target=target, rule=rule)
        return rules

    async def remove(self, customer_id: str, target: str, *, by: Caller) -> ApprovalRules:
        """Take a rule away, if there is one. Raises `NotGranted` as `set`."""
        require_person(by)
        rules = await self._change(customer_id, None, target)
        await audit_action(self._audit, customer_id, by, "approval_rule.remove", target=target)
        return rules

    async def _change(self, customer_id: str, wanted: ApprovalRule | None, target: str) -> ApprovalRules:
        async with self._changes.change(customer_id) as session:
            stored = await session.scalar(select(Customer.approval_rules).where(Customer.id == customer_id))
            known = ApprovalRules.stored(stored)
            rules = known.without(target) if wanted is None else known.with_rule(wanted)
            if len(rules.each) > MOST_RULES:
                raise _wrong("target", f"would be more than {MOST_RULES} rules; take some away first")
            await session.execute(
                update(Customer).where(Customer.id == customer_id).values(approval_rules=rules.rows() or None)
            )
        return rules

    def _checked(self, target: str, rule: str, by: Caller) -> ApprovalRule:
        known = _RULES.get(rule)
        if known is None:
            raise _wrong("rule", f"must be one of {', '.join(RULES)}")
        tool = self._catalog.tools.get(target)
        if tool is not None:
            if tool.effect is Effect.READ and known == "ask":
                raise _wrong("rule", f"cannot be ask for {target}, which only reads; it can be allow or never")
        else:
            platform, colon, label = target.partition(":")
            if platform not in self._catalog.platforms or (colon and not LABEL.fullmatch(label)):
                raise _wrong("target", "must be a platform, platform:account or a tool's name, such as telegram:work")
        return ApprovalRule(target, known, "operator" if by.kind == "operator" else "customer")


def _wrong(name: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"`{name}` {problem}.", fields=[{"field": name, "problem": problem}])
