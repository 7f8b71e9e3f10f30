"""The anchor: who belongs to the federation."""

from node.anchor.enrolment import AnchorRefused, enrolment_request, read_enrolment
from node.anchor.folder import AnchorFolder, Member
from node.anchor.office import anchor_jwks, enroll, init_anchor, list_members, publish, revoke
from node.anchor.server import anchor_app

__all__ = [
    "AnchorFolder",
    "AnchorRefused",
    "Member",
    "anchor_app",
    "anchor_jwks",
    "enroll",
    "enrolment_request",
    "init_anchor",
    "list_members",
    "publish",
    "read_enrolment",
    "revoke",
]
