"""`POST /api/admin/invitations`.

Annotations are real objects here: FastAPI reads dependencies that only the building function knows.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response, status
from pydantic import BaseModel, ConfigDict, Field

from hermes.identity.caller import Caller
from hermes.identity.dependencies import Doors
from hermes.identity.models import PlanName
from hermes.identity.sign_up import Invitation, SignUp
from hermes.routing import RoomRouter


class InvitationRequest(BaseModel):
    """Whom to invite."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254, examples=["ann@example.com"])
    plan: PlanName = "free"


class InvitationView(BaseModel):
    """An invitation just made. `url` is shown this once; `mailed` says whether it was sent to the address, too."""

    model_config = ConfigDict(from_attributes=True)

    email: str
    url: str
    mailed: bool
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationView":
        return cls.model_validate(invitation)


def build_invitation_router(doors: Doors, sign_up: SignUp) -> APIRouter:
    """The route of invitations."""
    router = RoomRouter(tags=["operator"])

    @router.post("/api/admin/invitations", status_code=status.HTTP_201_CREATED)
    async def invite(
        caller: Annotated[Caller, Depends(doors.operator_only)], wanted: InvitationRequest, response: Response
    ) -> InvitationView:
        """Invite somebody. The link works once, for seven days, as long as SIGNUP is `invite` or `open`."""
        invitation = await sign_up.invite(wanted.email, wanted.plan, by=caller)
        response.headers["cache-control"] = "no-store"
        return InvitationView.of(invitation)

    return router
