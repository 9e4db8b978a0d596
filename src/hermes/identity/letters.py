"""What people are written about their account."""

from __future__ import annotations

from hermes.events.letters import Letter

_NOT_YOU = "If that was not you, choose a new password at once with “Forgot your password?” on {url}/login."
_IGNORE = "If you did not ask for this, ignore this mail; nothing changes."


class Letters:
    """The letters, with links to this server."""

    def __init__(self, public_url: str) -> None:
        self._url = public_url

    def sign_up(self, to: str, token: str) -> Letter:
        return Letter(
            "sign_up",
            to,
            "Confirm your address",
            ("Welcome. Open this link within a day to choose a password; then your account is ready.",),
            f"{self._url}/signup?token={token}",
            "Choose a password",
            _IGNORE,
        )

    def already_there(self, to: str, token: str) -> Letter:
        return Letter(
            "already_there",
            to,
            "You have an account already",
            (
                f"Somebody, probably you, wanted to sign up with this address. It has an account: sign in at "
                f"{self._url}/login. If you do not remember your password, choose a new one within an hour.",
            ),
            f"{self._url}/reset-password/new?token={token}",
            "Choose a new password",
            _IGNORE,
        )

    def invitation(self, to: str, token: str) -> Letter:
        return Letter(
            "invitation",
            to,
            "You are invited",
            ("You are invited to connect your assistant to your own accounts. Open this link within seven days.",),
            self.invitation_url(token),
            "Choose a password",
        )

    def invitation_url(self, token: str) -> str:
        return f"{self._url}/signup?token={token}"

    def reset(self, to: str, token: str) -> Letter:
        return Letter(
            "reset",
            to,
            "Choose a new password",
            ("Open this link within an hour to choose a new password. You are then signed out everywhere else.",),
            f"{self._url}/reset-password/new?token={token}",
            "Choose a new password",
            _IGNORE,
        )

    def no_account(self, to: str) -> Letter:
        return Letter(
            "no_account",
            to,
            "There is no account with this address",
            (
                f"Somebody, probably you, asked {self._url} for a new password, but no account has this address. "
                "Perhaps you signed up with another one.",
            ),
            closing=_IGNORE,
        )

    def confirm_email(self, to: str, token: str) -> Letter:
        return Letter(
            "confirm_email",
            to,
            "Confirm your new address",
            ("Open this link within a day to use this address for your account from now on.",),
            f"{self._url}/verify-email?token={token}",
            "Confirm this address",
            _IGNORE,
        )

    def email_change_asked(self, to: str, new: str) -> Letter:
        return self._notice(
            "email_change_asked", to, "Your address is about to change", f"to {new}, once that one is confirmed"
        )

    def email_changed(self, to: str, new: str) -> Letter:
        return self._notice("email_changed", to, "Your address was changed", f"to {new}")

    def password_changed(self, to: str) -> Letter:
        return self._notice(
            "password_changed", to, "Your password was changed", "and all other browsers were signed out"
        )

    def second_factor_changed(self, to: str, *, on: bool) -> Letter:
        title = "An authenticator app was added" if on else "The authenticator app was removed"
        return self._notice("second_factor", to, title, "to your account" if on else "from your account")

    def provider_linked(self, to: str, provider: str) -> Letter:
        return self._notice(
            "provider_linked", to, f"{provider} can sign you in now", "as you asked on the account page"
        )

    def _notice(self, kind: str, to: str, subject: str, rest: str) -> Letter:
        return Letter(kind, to, subject, (f"{subject}, {rest}.",), closing=_NOT_YOU.format(url=self._url))
