"""The anchor: who belongs to the federation."""

from node.anchor.enrolment import enrolment_request, read_enrolment
from node.anchor.folder import AnchorFolder
from node.anchor.member import AnchorFacts, AnchorRefused, Member
from node.anchor.office import (
    anchor_jwks,
    authority_request,
    enroll,
    init_anchor,
    list_members,
    read_request,
    revoke,
)
from node.anchor.overview import endings, member_in_full, pending_of
from node.anchor.plain import plain_request
from node.anchor.publishing import current_status, keep_status, publish, update, write_out
from node.anchor.rotation import finish, rotate_ca, rotate_root, rotate_status
from node.anchor.server import anchor_app
from node.anchor.tls import issue_from_file
from node.anchor.watch import MemberWatch

__all__ = [
    "AnchorFacts",
    "AnchorFolder",
    "AnchorRefused",
    "Member",
    "MemberWatch",
    "anchor_app",
    "anchor_jwks",
    "authority_request",
    "current_status",
    "endings",
    "enroll",
    "enrolment_request",
    "finish",
    "init_anchor",
    "issue_from_file",
    "keep_status",
    "list_members",
    "member_in_full",
    "pending_of",
    "plain_request",
    "publish",
    "read_enrolment",
    "read_request",
    "revoke",
    "rotate_ca",
    "rotate_root",
    "rotate_status",
    "update",
    "write_out",
]
