"""Meta's authorization servers: short tokens, long ones, and their exchange; errors in Meta's words."""

from __future__ import annotations

from typing import Any, Final

from hermes.sandbox.http import Answer, Incoming, derived_digits, json_answer
from hermes.sandbox.oauth import CLIENT_SECRET, DAY, Grant, OAuthDesk, OAuthRefusal, client_id_of

PAGE_TOKEN: Final = "EAAsandbox-page-"  # noqa: S105  (how the stand-in's tokens of Pages begin)
_SHORT_SECONDS: Final = 3600
_CODES: Final = {"invalid_client": 101, "invalid_grant": 190, "slow_down": 4}


class FacebookDesk(OAuthDesk):
    """Facebook Login. One address exchanges codes, and living tokens for longer ones."""

    def ask(self, incoming: Incoming, args: dict[str, str]) -> Answer:
        if incoming.path == self.rules.revoke:
            return self._forget(incoming)
        args = args | incoming.query_args()
        if (args.get("client_id"), args.get("client_secret")) != (client_id_of("facebook"), CLIENT_SECRET):
            raise OAuthRefusal("invalid_client", "Error validating client secret.")
        if args.get("grant_type") == "fb_exchange_token":
            return json_answer(self.exchanged(args.get("fb_exchange_token", "")))
        try:
            return json_answer(self.tokens_for_code(args))
        except OAuthRefusal:
            raise OAuthRefusal("invalid_request", "This authorization code has been used or has expired.") from None

    def presented(self, token: str) -> str:
        """A Page's token ends when the person who may post there takes hermes's access back."""
        shown = super().presented(token)
        if shown != token or not token.startswith(PAGE_TOKEN):
            return shown
        grants = {id(one.grant): one.grant for one in self.tokens.values()}.values()
        of_person = [one for one in grants if token.endswith(derived_digits(one.account, "token", 8))]
        return f"{token}revoked" if of_person and all(one.ended for one in of_person) else token

    def exchanged(self, token: str) -> dict[str, Any]:
        """A long-lived token for one that is alive. Raises `OAuthRefusal`."""
        issued = self.tokens.get(token)
        if issued is None or self.presented(token) != issued.grant.account:
            raise OAuthRefusal("invalid_grant", "Error validating access token: Session has expired.")
        issued.grant.renewed += 1
        return {**self.answer_of(issued.grant), "expires_in": self.rules.access_seconds}

    def tokens_for_code(self, args: Any) -> dict[str, Any]:
        answer = super().tokens_for_code(args)
        self.tokens[answer["access_token"]].expires = self.clock.now() + _SHORT_SECONDS
        return {**answer, "expires_in": _SHORT_SECONDS}

    def refused(self, refusal: OAuthRefusal) -> Answer:
        code = _CODES.get(refusal.code, 100)
        error = {"message": refusal.described, "type": "OAuthException", "code": code, "fbtrace_id": "Asandbox"}
        return json_answer({"error": error}, refusal.status)

    def _forget(self, incoming: Incoming) -> Answer:
        issued = self.tokens.get(incoming.bearer or "")
        if issued is None or incoming.method != "DELETE":
            raise OAuthRefusal("invalid_grant", "Invalid OAuth access token.")
        issued.grant.ended = True
        return json_answer({"success": True})


class InstagramDesk(OAuthDesk):
    """Instagram Login: a token of an hour, which becomes one of 60 days, which renews itself after a day."""

    LONGER = "/access_token"
    RENEW = "/refresh_access_token"

    def handles(self, path: str) -> bool:
        return super().handles(path) or path in (self.LONGER, self.RENEW)

    def ask(self, incoming: Incoming, args: dict[str, str]) -> Answer:
        query = incoming.query_args()
        if incoming.path == self.LONGER:
            if query.get("client_secret") != CLIENT_SECRET or query.get("grant_type") != "ig_exchange_token":
                raise OAuthRefusal("invalid_client", "Error validating client secret.")
            return json_answer(self.exchanged(query.get("access_token", ""), renews=False))
        if incoming.path == self.RENEW:
            if query.get("grant_type") != "ig_refresh_token":
                raise OAuthRefusal("invalid_request", "Invalid grant type.")
            return json_answer(self.exchanged(query.get("access_token", ""), renews=True))
        self._check_client(incoming, args)
        return json_answer(self.tokens_for_code(args))

    def tokens_for_code(self, args: Any) -> dict[str, Any]:
        answer = super().tokens_for_code(args)
        issued = self.tokens[answer["access_token"]]
        issued.expires = self.clock.now() + _SHORT_SECONDS
        number = issued.grant.account.split("-")[2]
        return {
            "access_token": answer["access_token"],
            "user_id": int(number),
            "permissions": list(issued.grant.scopes),
        }

    def exchanged(self, token: str, *, renews: bool) -> dict[str, Any]:
        """A long-lived token for one that is alive; a renewal wants one that is a day old. Raises `OAuthRefusal`."""
        issued = self.tokens.get(token)
        if issued is None or self.presented(token) != issued.grant.account or issued.expires is None:
            raise OAuthRefusal("invalid_grant", "Error validating access token: Session has expired.")
        if renews and issued.expires - self.clock.now() > self.rules.access_seconds - DAY:
            raise OAuthRefusal("invalid_request", "The access token is not 24 hours old yet.")
        issued.grant.renewed += int(renews)
        return self._long(issued.grant)

    def sign_in(self, person: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        return self._long(Grant(person, scopes, self.rules.account(person)))

    def refused(self, refusal: OAuthRefusal) -> Answer:
        code = _CODES.get(refusal.code, 100)
        if code in (190, 4):
            error = {"message": refusal.described, "type": "OAuthException", "code": code, "fbtrace_id": "Asandbox"}
            return json_answer({"error": error}, refusal.status)
        return json_answer(
            {"error_type": "OAuthException", "code": 400, "error_message": refusal.described}, refusal.status
        )

    def _long(self, grant: Grant) -> dict[str, Any]:
        token = self.issue(grant, self.rules.access, self.rules.access_seconds)
        return {"access_token": token, "token_type": "bearer", "expires_in": self.rules.access_seconds}
