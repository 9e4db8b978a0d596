"""What a customer wants to be asked about before it is done in their accounts, and what never to be done at all.

A rule is for a tool (`telegram_send_message`), for one account (`telegram:work`) or for a whole platform (`telegram`).
A tool's beats the account's, which beats the platform's; where there is none, everything is allowed. The rules are read
with the customer, so that a call knows them without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

Rule = Literal["allow", "ask", "never"]
SetBy = Literal["customer", "operator"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)


class ApprovalRule(NamedTuple):
    """One rule.

    Attributes:
        target: a tool's name, `platform:label`, or a platform's id.
        set_by: who set it.
    """

    target: str
    rule: Rule
    set_by: SetBy


def account_target(platform: str, label: str) -> str:
    """How a rule names one account."""
    return f"{platform}:{label}"


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """All rules of one customer, in the order of their targets."""

    each: tuple[ApprovalRule, ...] = ()

    @classmethod
    def stored(cls, rows: Iterable[Sequence[Any]] | None) -> ApprovalRules:
        """Read them as they are kept in JSON: a list of [target, rule, set_by]."""
        return cls(tuple(ApprovalRule(*row) for row in rows or ()))

    def rows(self) -> list[list[str]]:
        """As `stored` reads them."""
        return [list(rule) for rule in self.each]

    def of(self, target: str) -> ApprovalRule | None:
        """The rule for exactly this target."""
        return next((rule for rule in self.each if rule.target == target), None)

    def with_rule(self, rule: ApprovalRule) -> ApprovalRules:
        """These, with one set anew."""
        rest = self.without(rule.target).each
        return ApprovalRules(tuple(sorted((*rest, rule))))

    def without(self, target: str) -> ApprovalRules:
        """These, without the one for this target."""
        return ApprovalRules(tuple(rule for rule in self.each if rule.target != target))

    def by_account(self, tool: str, platform: str) -> bool:
        """Whether what counts for the tool depends on the account that it is called for."""
        return self.of(tool) is None and any(rule.target.startswith(f"{platform}:") for rule in self.each)

    def for_call(self, tool: str, platform: str, label: str | None, *, writes: bool) -> ApprovalRule | None:
        """The rule that counts for a call; None when there is none.

        Args:
            tool: the tool's name.
            platform: the id of its platform.
            label: the account's; None where it does not matter (`by_account`).
            writes: whether the call has an effect: rules of connections are about no others.
        """
        own = self.of(tool)
        if own is not None or not writes:
            return own
        account = self.of(account_target(platform, label)) if label is not None else None
        return account or self.of(platform)

    def hides(self, tool: str, platform: str, *, writes: bool) -> bool:
        """Whether the tool is never to be called, on whichever account."""
        rule = self.for_call(tool, platform, None, writes=writes)
        if rule is None or rule.rule != "never":
            return False
        accounts = [each for each in self.each if each.target.startswith(f"{platform}:")]
        return rule.target == tool or all(each.rule == "never" for each in accounts)


NO_RULES: Final = ApprovalRules()
