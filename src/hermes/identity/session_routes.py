"""`/api/sessions` and `/api/csrf-token`.

Annotations are real objects here: FastAPI reads dependencies that only the building function knows.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status
from pydantic import BaseModel, ConfigDict

from hermes.errors import NotFound
from hermes.identity.caller import Caller, Via
from hermes.identity.csrf import Csrf
from hermes.identity.dependencies import Doors
from hermes.identity.models import Session
from hermes.identity.sessions import Sessions
from hermes.routing import RoomRouter


class SessionView(BaseModel):
    """A browser or program that is signed in. `last_used_at` is right to the minute."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    client: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime
    current: bool = False
    """Whether it is the one that asks."""

    @classmethod
    def of(cls, row: Session, caller: Caller) -> "SessionView":
        return cls.model_validate(row).model_copy(update={"current": row.id == caller.key_id})


class SessionList(BaseModel):
    """Sessions, the newest first."""

    sessions: list[SessionView]


class CsrfTokenView(BaseModel):
    """What a change by cookie must bring as the header `X-CSRF-Token`."""

    csrf_token: str


def build_session_router(doors: Doors, sessions: Sessions, csrf: Csrf) -> APIRouter:
    """The routes of sessions."""
    router = RoomRouter(tags=["account"])
    customer_only = Depends(doors.customer_only)

    @router.get("/api/csrf-token")
    async def csrf_token(caller: Annotated[Caller, customer_only], response: Response) -> CsrfTokenView:
        """The token that changes by the session cookie need."""
        if caller.via is not Via.SESSION:
            raise NotFound("Only sessions have a CSRF token; what is sent with a key or a token needs none.")
        response.headers["cache-control"] = "no-store"
        return CsrfTokenView(csrf_token=csrf.token(caller.key_id))

    @router.get("/api/sessions")
    async def list_sessions(caller: Annotated[Caller, customer_only]) -> SessionList:
        """Where you are signed in."""
        return SessionList(sessions=[SessionView.of(row, caller) for row in await sessions.list(caller.customer_id)])

    @router.delete("/api/sessions", status_code=status.HTTP_204_NO_CONTENT)
    async def end_sessions(caller: Annotated[Caller, customer_only]) -> None:
        """Sign out everywhere, here too; within five seconds."""
        await sessions.end_all(caller.customer_id, by=caller)

    @router.delete("/api/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def end_session(caller: Annotated[Caller, customer_only], session_id: str) -> None:
        """Sign out one browser or program; within five seconds."""
        await sessions.end(caller.customer_id, session_id, by=caller)

    return router
