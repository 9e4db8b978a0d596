"""Linking and unlinking customers' accounts. The only writer of connections besides key rotation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.connections.defaults import DefaultAccounts
from hermes.connections.links import ConnectLinks
from hermes.connections.missing import missing_of, needs_person
from hermes.connections.models import Connection, Status
from hermes.connections.names import LABEL, LABEL_RULE
from hermes.connections.onboarding import Onboarded, Onboardings
from hermes.connections.probing import Prober, read_credentials
from hermes.connections.refusals import none_found, several_found, taken_elsewhere
from hermes.connections.revocation import Revocation, Unlinked
from hermes.connections.rows import SignedIn
from hermes.connections.store import CredentialStore, RoutingTaken
from hermes.errors import HermesError, InvalidArguments, NotFound, NotGranted
from hermes.identity.actions import ActionAudit, ActionOutcome, audit_action
from hermes.identity.caller import OPERATOR_ID, Caller
from hermes.platforms.base import DEFAULT_ACCOUNT, Credentials, Env
from hermes.platforms.catalog import AnyPlatform, Catalog
from hermes.platforms.oauth import Choice, OAuthConnect, Tokens
from hermes.platforms.onboarding import Step, StepState
from hermes.settings import Settings
from hermes.storage.notices import Notices

CONNECT = "connection.connect"
DISCONNECT = "connection.disconnect"
SET_DEFAULT = "connection.set_default"

log = structlog.get_logger(__name__)


class Connections:
    """What can be done with linked accounts. A caller acts on those of `caller.customer_id`, and on nobody else's."""

    def __init__(
        self,
        catalog: Catalog,
        store: CredentialStore,
        prober: Prober,
        audit: ActionAudit,
        settings: Settings,
        defaults: DefaultAccounts,
        links: ConnectLinks,
        *,
        plan_includes: Callable[[Caller, str], bool],
        notices: Notices | None = None,
        revocation: Revocation | None = None,
        onboardings: Onboardings | None = None,
    ) -> None:
        """Take what is needed; `plan_includes(caller, platform)` says whether the customer's plan has the platform,
        `notices` tell the customer's open streams when accounts come, go or stop working, and `revocation` and
        `onboardings` act at the vendors."""
        self._catalog = catalog
        self._store = store
        self._prober = prober
        self._audit = audit
        self._settings = settings
        self._defaults = defaults
        self._links = links
        self._plan_includes = plan_includes
        self._notices = notices
        self._revocation = revocation
        self._onboardings = onboardings

    async def connect(
        self, caller: Caller, platform: str, credentials: Mapping[str, Any], label: str = DEFAULT_ACCOUNT
    ) -> Connection:
        """Link an account: check the credentials, try them at the platform, then keep them. Linking it again replaces.

        Args:
            caller: whose account it becomes.
            platform: the platform's id.
            credentials: the platform's credential fields, camelCase or snake_case.
            label: the account's name among the customer's accounts on that platform.

        Raises:
            NotFound: no such platform.
            NotGranted: the key or plan does not reach it, or the caller is the operator in single-user mode.
            InvalidArguments: label or credentials do not fit, or leave open which of several accounts is meant; then
                `choices` lists those.
            PlatformRejected: the platform does not accept the credentials.
            PlatformUnavailable: the platform did not answer.
            Conflict: the phone number is linked elsewhere.
        """
        declared = self.may_connect(caller, platform, label)
        choices, found = declared.connect.choices, await self.left_open(caller, declared, credentials, label)
        if choices is not None and len(found) > 1:
            await self._record(caller, CONNECT, platform, label, "error")
            raise several_found(declared, choices, found)
        checked = read_credentials(declared, found[0].credentials if found else credentials)
        return await self._link(caller, declared, label, checked, None)

    async def left_open(
        self, caller: Caller, platform: AnyPlatform, credentials: Mapping[str, Any], label: str
    ) -> Sequence[Choice]:
        """Which accounts pasted credentials can mean, if they leave that open; empty: they do not.

        Args:
            caller: whose account it becomes; has passed `may_connect`.
            platform: whose account it is.
            credentials: as in `connect`.
            label: the account's name.

        Raises:
            InvalidArguments: the credentials do not fit, or reach no account.
            HermesError: the platform does not accept them, or did not answer.
        """
        choices = platform.connect.choices
        if choices is None or not choices.are_open(platform.credentials, credentials):
            return ()
        given = {name: value for name, value in credentials.items() if value is not None}
        rest = read_credentials(platform, given, choices.rest)
        try:
            found = await self._prober.ask_with(
                caller.customer_id, platform, label, lambda context: choices.find(context, rest)
            )
            if not found:
                raise none_found(platform, choices)
        except HermesError:
            await self._record(caller, CONNECT, platform.id, label, "error")
            raise
        return found

    def may_connect(self, caller: Caller, platform: str, label: str) -> AnyPlatform:
        """The platform, if this caller may link an account of it under this label.

        Raises:
            NotFound: no such platform.
            NotGranted: the key or plan does not reach it, or the caller is the operator in single-user mode.
            InvalidArguments: the label does not fit.
        """
        declared = self._catalog.named(platform)
        self._refuse_single_user(caller, declared)
        self._need_write(caller, declared)
        if not self._plan_includes(caller, platform):
            raise NotGranted(
                f"The plan {caller.plan} does not include {declared.title}. The operator can change it "
                "(`hermes customers set-plan`).",
                platform=platform,
            )
        _check_label(label)
        return declared

    async def connect_signed_in(
        self,
        caller: Caller,
        platform: AnyPlatform,
        connect: OAuthConnect,
        tokens: Tokens,
        fields: Mapping[str, Any],
        label: str,
    ) -> Connection:
        """Link the account that a person signed in to, as `connect` does; its tokens are renewed from now on.

        Args:
            caller: whose account it becomes; has passed `may_connect`.
            platform: whose account it is.
            connect: where they signed in.
            tokens: what the vendor gave.
            fields: the platform's credential fields that follow from that.
            label: the account's name.
        """
        checked = read_credentials(platform, fields)
        stored, now = orjson.loads(checked.to_json()), datetime.now(UTC)
        signed_in = SignedIn(connect.provider, connect.renew_at(stored, now), connect.ends_at(stored, tokens))
        return await self._link(caller, platform, label, checked, signed_in, tokens.scopes)

    async def accounts_of(
        self, caller: Caller, platform: AnyPlatform, connect: OAuthConnect, tokens: Tokens, label: str
    ) -> Sequence[Choice]:
        """Which accounts a sign-in reaches. Raises `HermesError` when the vendor does not say."""
        choices = connect.choices
        if choices is None:
            return []
        return await self._prober.ask(caller.customer_id, platform, label, lambda context: choices(context, tokens))

    async def leave_incomplete(self, caller: Caller, platform: str, provider: str | None, label: str) -> None:
        """Show that an account waits for a choice, unless it works as it is.

        Args:
            caller: whose account it becomes; has passed `may_connect`.
            platform: the platform's id.
            provider: where they signed in; None: they pasted credentials.
            label: the account's name.
        """
        await self._store.put_incomplete(caller.customer_id, platform, label, provider)
        self._tell(caller.customer_id)

    async def not_linked(self, caller: Caller, platform: str, label: str) -> None:
        """Leave in the trail that a sign-in was refused."""
        await self._record(caller, CONNECT, platform, label, "denied")

    async def refuse_stranger(self, customer_id: str, who: Caller, platform: str, label: str) -> None:
        """Leave in the trail that somebody else opened what was made for this customer, but not who: that is another
        customer's business."""
        stranger = replace(who, customer_id=customer_id, key_id="another-person", email=None, client=None)
        await audit_action(self._audit, customer_id, stranger, CONNECT, label, "denied", platform=platform)

    async def _link(
        self,
        caller: Caller,
        platform: AnyPlatform,
        label: str,
        credentials: Credentials,
        signed_in: SignedIn | None,
        scopes: tuple[str, ...] = (),
    ) -> Connection:
        """Try credentials at the platform, then keep them."""
        where = (caller.customer_id, platform.id, label)
        try:
            account = await self._prober.probe(caller.customer_id, platform, label, credentials)
            account = replace(account, scopes=scopes or account.scopes)
            replaced = await self._set_up(caller.customer_id, platform, label)
            connection = await self._store.put(*where, credentials.to_json(), account, signed_in)
        except RoutingTaken as taken:
            await self._record(caller, CONNECT, platform.id, label, "denied")
            raise taken_elsewhere(platform, taken) from None
        except HermesError:
            await self._record(caller, CONNECT, platform.id, label, "error")
            raise
        await self._follow(caller.customer_id, platform.id)
        self._tell(caller.customer_id)
        await self._record(caller, CONNECT, platform.id, label, "success")
        log.info("account_connected", customer_id=caller.customer_id, platform=platform.id, account=label)
        if self._onboardings is None:
            return connection
        if replaced is not None and replaced.shared_id != account.shared_id:
            await self._onboardings.undo(platform, replaced)
        steps = await self._onboardings.run(caller.customer_id, platform, label, credentials)
        return replace(connection, steps=tuple(step.as_dict() for step in steps))

    async def _set_up(self, customer_id: str, platform: AnyPlatform, label: str) -> Onboarded | None:
        """What undoing the account's steps at its vendor needs, before the account is replaced or unlinked."""
        if self._onboardings is None:
            return None
        return await self._onboardings.before_unlinking(customer_id, platform, label)

    async def check_steps(self, caller: Caller, platform: str, label: str | None = None) -> tuple[str, Sequence[Step]]:
        """Look again at what an account needs to be set up at its vendor, and take the steps that can be taken.

        Args:
            caller: whose account it is.
            platform: the platform's id.
            label: which account; needed only where there are several.

        Returns:
            The account's label, and its steps; none where the platform has none.

        Raises:
            NotFound: no such platform or account.
            NotGranted: the key does not reach it, or the caller is the operator in single-user mode.
            InvalidArguments: there are several accounts and none was named.
            NeedsReconnect: the account has to be connected again first.
        """
        declared, chosen, _alone = await self._one_of(caller, platform, label)
        if self._onboardings is None:
            return chosen, ()
        steps = await self._onboardings.again(caller.customer_id, declared, chosen)
        self._tell(caller.customer_id)
        return chosen, steps

    async def disconnect(self, caller: Caller, platform: str, label: str | None = None) -> Unlinked:
        """Unlink one account, forget its credential, and then take the access back at the vendor where that can be.

        Args:
            caller: whose account it is.
            platform: the platform's id.
            label: which account; needed only where there are several.

        Returns:
            Which account was unlinked, and what is left to do.

        Raises:
            NotFound: no such platform or account.
            NotGranted: the key does not reach it, or the caller is the operator in single-user mode.
            InvalidArguments: there are several accounts and none was named; the error lists them.
        """
        declared, chosen, alone = await self._one_of(caller, platform, label)
        where = (caller.customer_id, platform, chosen)
        set_up = await self._set_up(caller.customer_id, declared, chosen)
        access = await self._revocation.before(*where) if self._revocation is not None else None
        if not await self._store.remove(*where):
            raise NotFound(f"The {declared.title} account {chosen!r} is not linked any more.", platform=platform)
        default = await self._follow(caller.customer_id, platform)
        self._tell(caller.customer_id)
        await self._record(caller, DISCONNECT, platform, chosen, "success")
        log.info("account_disconnected", customer_id=caller.customer_id, platform=platform, account=chosen)
        if self._revocation is None:
            return Unlinked(chosen, default_account=default)
        unlinked = await self._revocation.after(declared, access, chosen, alone=alone)
        unlinked = replace(unlinked, default_account=default)
        if self._onboardings is None or set_up is None:
            return unlinked
        steps = await self._onboardings.undo(declared, set_up)
        remedies = [step.remedy for step in steps if step.state is not StepState.DONE and step.remedy]
        return replace(unlinked, steps=steps, left=" ".join(remedies) or unlinked.left)

    async def make_default(self, caller: Caller, platform: str, label: str) -> None:
        """Use this account from now on when a call names none. Effective everywhere within five seconds.

        Args:
            caller: whose account it is.
            platform: the platform's id.
            label: the account's label.

        Raises:
            NotFound: no such platform, or no such account; the error lists those there are.
            NotGranted: the key does not reach it, or the caller is the operator in single-user mode.
        """
        declared = self._catalog.named(platform)
        self._refuse_single_user(caller, declared)
        self._need_write(caller, declared)
        await self._defaults.choose(caller.customer_id, platform, label)
        self._tell(caller.customer_id)
        await self._record(caller, SET_DEFAULT, platform, label, "success")

    async def _one_of(self, caller: Caller, platform: str, label: str | None) -> tuple[AnyPlatform, str, bool]:
        """The platform, the label of the caller's account there that is meant, and whether it is the only one."""
        declared = self._catalog.named(platform)
        self._refuse_single_user(caller, declared)
        self._need_write(caller, declared)
        linked = [item.label for item in await self._store.connections(caller.customer_id) if item.platform == platform]
        return declared, _choose(declared, linked, label), len(linked) == 1

    async def list(self, customer_id: str) -> Sequence[Connection]:
        """All linked accounts of a customer. One query."""
        return await self._store.connections(customer_id)

    async def of_caller(self, caller: Caller) -> Sequence[Connection]:
        """The caller's linked accounts; for the operator in single-user mode, those of the environment."""
        return self._from_environ() if caller.single_user else await self.list(caller.customer_id)

    async def overview(self, caller: Caller) -> dict[str, Any]:
        """What `GET /api/connections` answers: for every platform whether an account works, and the details of each."""
        linked = [item for item in await self.of_caller(caller) if item.platform in self._catalog.platforms]
        usable = {item.platform for item in linked if item.usable}
        return {
            "customerId": caller.customer_id,
            "connections": {platform.id: platform.id in usable for platform in self._catalog},
            "details": [item.as_dict() | self.needs(item) for item in linked],
        }

    def needs(self, account: Connection) -> dict[str, Any]:
        """What a linked account lacks (`missing`, as `missing_of`), and where its owner helps it (`connect_url`)."""
        missing = missing_of(self._catalog.platforms[account.platform], account, self._settings)
        if account.customer_id == OPERATOR_ID or not needs_person(account, missing):
            return {"missing": missing, "connect_url": None}
        url = self._links.url(account.customer_id, account.platform, account.label)
        return {"missing": missing, "connect_url": url}

    async def chosen(self, caller: Caller, platform: str, label: str | None) -> Connection:
        """One of the caller's linked accounts, to be looked at.

        Args:
            caller: whose account it is.
            platform: the platform's id.
            label: which account; None for the one that is used by default, or the only one.

        Raises:
            NotFound: no such platform or account.
            NotGranted: the key does not reach it, or the caller is the operator in single-user mode.
        """
        declared = self._catalog.named(platform)
        self._refuse_single_user(caller, declared)
        if not caller.grants.allow(platform, "read"):
            raise NotGranted(f"This key may not look at {declared.title} connections.", platform=platform)
        linked = [item for item in await self._store.connections(caller.customer_id) if item.platform == platform]
        meant = label or next((item.label for item in linked if item.default), None)
        wanted = _choose(declared, [item.label for item in linked], meant)
        return next(item for item in linked if item.label == wanted)

    async def accounts(self, customer_id: str) -> Mapping[str, Sequence[str]]:
        """Platform → labels of the customer's linked accounts, the default one first. One query."""
        return await self._store.labels(customer_id)

    async def mark_needs_reconnect(
        self, customer_id: str, platform: str, label: str, reason: str, used: str | None = None
    ) -> None:
        """Remember that the platform no longer accepts the account's credential; calls are told so from now on.

        Args:
            customer_id: whose account it is.
            platform: the platform's id.
            label: the account's label.
            reason: in words for the customer; no secret.
            used: the sealed credential that failed. One that was linked meanwhile is left alone.
        """
        try:
            marked = await self._store.mark_needs_reconnect(customer_id, platform, label, reason, used)
        except (RedisError, SQLAlchemyError, TimeoutError) as error:
            # The caller is answering a call that failed, and the next one will find out the same.
            log.error("account_not_marked", customer_id=customer_id, platform=platform, error=type(error).__name__)
            return
        if marked:
            self._tell(customer_id)
            log.warning("account_needs_reconnect", customer_id=customer_id, platform=platform, account=label)

    async def _follow(self, customer_id: str, platform: str) -> str | None:
        """As `DefaultAccounts.follow`, as far as the stores answer: the account itself has come or gone by now, and a
        call that finds the wrong one named looks for the right one."""
        try:
            return await self._defaults.follow(customer_id, platform)
        except (RedisError, SQLAlchemyError, TimeoutError, NotFound) as error:
            log.warning("default_account_not_followed", customer_id=customer_id, error=type(error).__name__)
            return None

    def _tell(self, customer_id: str) -> None:
        if self._notices is not None:
            self._notices.tell(customer_id, "accounts")

    def _refuse_single_user(self, caller: Caller, platform: AnyPlatform) -> None:
        if caller.single_user:
            raise NotGranted(
                f"The operator's own {platform.title} account comes from the environment "
                f"({', '.join(_variables(platform)) or 'see the documentation'}). To link a customer's account, use "
                f"{self._settings.public_url}/api/admin/customers/{{id}}/connect/{platform.id}.",
                platform=platform.id,
            )

    def _need_write(self, caller: Caller, platform: AnyPlatform) -> None:
        if not caller.grants.allow(platform.id, "write"):
            raise NotGranted(
                f"This key may not change {platform.title} connections; use one that has the grant "
                f"{platform.id}:write.",
                platform=platform.id,
            )

    def _from_environ(self) -> Sequence[Connection]:
        found: list[Connection] = []
        for platform in self._catalog:
            try:
                labels = list(platform.environ_accounts(self._settings))
                status, error = Status.CONNECTED, None
            except ValidationError:
                labels, status = [DEFAULT_ACCOUNT], Status.INCOMPLETE
                error = f"Some of {', '.join(_variables(platform))} are missing or malformed."
            found += [Connection(OPERATOR_ID, platform.id, label, status, last_error=error) for label in labels]
        return found

    async def _record(self, caller: Caller, action: str, platform: str, label: str, outcome: ActionOutcome) -> None:
        await audit_action(self._audit, caller.customer_id, caller, action, label, outcome, platform=platform)


def _check_label(label: str) -> None:
    if not LABEL.fullmatch(label):
        raise InvalidArguments(
            f"An account's label is {LABEL_RULE}.", fields=[{"field": "account", "problem": f"must be {LABEL_RULE}"}]
        )


def _choose(platform: AnyPlatform, linked: list[str], label: str | None) -> str:
    listed = ", ".join(linked)
    if label is None and len(linked) == 1:
        return linked[0]
    if not linked:
        raise NotFound(f"No {platform.title} account is linked.", platform=platform.id)
    if label is None:
        raise InvalidArguments(
            f"Several {platform.title} accounts are linked; say which one with `account`: {listed}.",
            fields=[{"field": "account", "problem": f"must be one of {listed}"}],
            accounts=linked,
        )
    if label not in linked:
        raise NotFound(
            f"No {platform.title} account is linked under that label; there are {listed}.",
            platform=platform.id,
            accounts=linked,
        )
    return label


def _variables(platform: AnyPlatform) -> list[str]:
    fields = platform.credentials.model_fields.values()
    return [mark.name for info in fields for mark in info.metadata if isinstance(mark, Env)]
