"""Every page with contents as in real life, and with hostile ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from federation.login.model import Agreement, OnBehalf
from federation.login.ports import PaperView
from federation.login.refusals import Turn
from node.config import NodeSection
from node.web.pages import (
    ChooserPage,
    ConsentPage,
    EndedAt,
    ErrorPage,
    Form,
    FormPostPage,
    FrontPage,
    LogoutConfirmPage,
    MyPage,
    NotAskedShown,
    Page,
    PartyShown,
    ProvinceChoice,
    SessionShown,
    SignedOutPage,
    UseShown,
)

__all__ = ["HOSTILE", "HOSTILE_PAGES", "NODE", "PAGES"]

NODE: Final = NodeSection(
    province="320000", name="江苏省节点", entity_id="http://127.0.0.1:8320", allow_http_on_loopback=True
)
HOSTILE: Final = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}{0.__class__}&amp;"
"""Ends attributes, opens elements, and is a template of two kinds."""

_AT: Final = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
_FORM: Final = Form("/login/i/4fzS", "c5-token")
_PLATFORM: Final = OnBehalf("ah-portal", "安徽政务服务网")
_CHOICES: Final = tuple(
    ProvinceChoice(code=code, name=f"节点 {code}", is_away=code == "330000")
    for code in ("310000", "320000", "330000", "340000")
)
_CLAIMS: Final = MappingProxyType(
    {
        "name": "欧阳志强",
        "birthdate": "1988-03-07",
        "citizen_number": "320102198803071234",
        "holder_id_type": "111",
        "gender": "male",
        "face": {
            "姓名": "欧阳志强",
            "性别": "1",
            "民族": "01",
            "住址": "江苏省南京市玄武区模拟路88号3幢402室",
        },
    }
)
_PAPER: Final = PaperView(
    paper_id="",
    asking="安徽省",
    platform="ah-portal",
    platform_name="安徽政务服务网",
    answering=("浙江省", "上海市"),
    certificate_types=("不动产权证书", "结婚证"),
    fields=("证照编号", "权利人", "坐落"),
    service_item="住房公积金异地贷款",
    case_number="340100-2026-000123",
    purpose="核实申请人住房情况",
    uses=3,
    expires_at=int((_AT + timedelta(days=7)).timestamp()),
    service_item_code="11340000MB0000000X4442014005000",
    basis="delegated_consent",
)
_GIVEN: Final = PaperView(
    **{name: getattr(_PAPER, name) for name in _PAPER.__struct_fields__}
    | {"paper_id": "p1", "issued_at": int(_AT.timestamp())}
)
_WITHDRAWN: Final = PaperView(
    **{name: getattr(_GIVEN, name) for name in _GIVEN.__struct_fields__}
    | {"paper_id": "p2", "withdrawn_at": int(_AT.timestamp()), "certificate_types": ("居民户口簿",)}
)
_CLOSED: Final = PartyShown("", "zj-hall")
_USE: Final = UseShown(
    request_id="01938d1c-7b52-7c3e-9a61-0d2f6a1c4b7e",
    asked_at=_AT,
    asking="安徽省",
    answering="浙江省",
    operation="certificates.query",
    platform=PartyShown("安徽政务服务网", "ah-portal"),
    certificate_types=("不动产权证书",),
    basis="holders_consent",
    service_item="住房公积金异地贷款",
    case_number="340100-2026-000123",
    purpose="核实申请人住房情况",
    outcome="answered",
)
_ME: Final = MyPage(
    account_name="欧阳志强",
    sessions=[
        SessionShown(
            session="s1",
            began_at=int(_AT.timestamp()),
            expires_at=int((_AT + timedelta(hours=8)).timestamp()),
            acr="yrd.l3",
            origin="https://idp.js.example.cn",
            parties=[PartyShown("安徽省节点"), PartyShown("苏服办", "js-hall"), PartyShown("", "js-closed")],
            is_this=True,
        ),
        SessionShown(
            session="s2",
            began_at=int((_AT - timedelta(hours=3)).timestamp()),
            expires_at=int((_AT + timedelta(hours=5)).timestamp()),
            acr="yrd.l2",
            origin="https://idp.js.example.cn",
        ),
    ],
    agreements=[
        Agreement(
            agreement_id="a1",
            recipient="https://yrd.ah.example.cn",
            platform="ah-portal",
            platform_name="安徽政务服务网",
            claims=frozenset({"name", "gender", "birthdate", "citizen_number"}),
            given_at=int(_AT.timestamp()),
        ),
        Agreement(
            agreement_id="a2",
            recipient="https://yrd.zj.example.cn",
            platform="zj-portal",
            platform_name="浙里办",
            claims=frozenset(),
            given_at=int((_AT - timedelta(days=40)).timestamp()),
            withdrawn_at=int((_AT - timedelta(days=2)).timestamp()),
        ),
    ],
    papers=[_GIVEN, _WITHDRAWN],
    uses=[
        _USE,
        replace(
            _USE,
            request_id="01938d1c-0000-7c3e-9a61-0d2f6a1c4b7e",
            outcome="refused",
            platform=PartyShown("", "zj-hall"),
        ),
        replace(
            _USE,
            request_id="01900000-7b52-7c3e-9a61-0d2f6a1c4b7e",
            asked_at=_AT - timedelta(days=500),
            certificate_types=(),
            basis="",
            purpose="",
            service_item="",
            is_forgotten=True,
        ),
    ],
    missing=[NotAskedShown(province="310000", name="上海市节点")],
    more="/me?before=01900000-7b52-7c3e-9a61-0d2f6a1c4b7e",
    end_session=Form("/me/sessions", "c5-token"),
    withdraw_agreement=Form("/me/agreements", "c5-token"),
    withdraw_paper=Form("/me/papers", "c5-token"),
    logout=Form("/me/logout", "c5-token"),
    recipients={"https://yrd.ah.example.cn": "安徽省"},
    now=_AT + timedelta(hours=1),
    done="agreement_withdrawn",
)
_CONSENT: Final = ConsentPage(
    form=_FORM,
    platform=_PLATFORM,
    recipient_province="340000",
    recipient_name="安徽省节点",
    claims=_CLAIMS,
    account_name="欧阳志强",
)

PAGES: Final[Mapping[str, Page]] = MappingProxyType(
    {
        "chooser": ChooserPage(form=_FORM, platform_name="安徽政务服务网", provinces=_CHOICES),
        "consent": _CONSENT,
        "consent-papers": replace(_CONSENT, papers=[_PAPER], claims={"name": "欧阳志强"}),
        "consent-nothing": replace(_CONSENT, claims={}, account_name=""),
        "error-peer": ErrorPage(
            code="login.peer_node_away",
            turn=Turn.PEER_NODE,
            number="7K3M-Q9RD",
            detail="connection refused",
            retry="/login/i/4fzS",
            platform_name="安徽政务服务网",
            peer_name="浙江省",
        ),
        "error-platform": ErrorPage(
            code="login.redirect_uri",
            turn=Turn.PLATFORM,
            number="2F8T-WX4C",
            detail="redirect_uri is not one of those that were registered",
        ),
        "me": _ME,
        "me-empty": replace(
            _ME, account_name="", sessions=[], agreements=[], papers=[], uses=[], missing=[], more="", done=""
        ),
        "me-unverified": replace(_ME, uses=None, missing=[], more=""),
        "logout": LogoutConfirmPage(
            form=Form("/oidc/logout", "c5-token"),
            platform_name="安徽政务服务网",
            parties=["安徽政务服务网", "安徽省节点"],
        ),
        "signed-out": SignedOutPage(
            ended=[
                EndedAt("安徽政务服务网", True),
                EndedAt("安徽省", True),
                EndedAt("江苏省统一身份认证", False),
                EndedAt("浙里办", False, True),
            ],
            onward="/sample/front",
            platform_name="安徽政务服务网",
        ),
        "signed-out-plain": SignedOutPage(),
        "form-post": FormPostPage(
            redirect_uri="http://127.0.0.1:9/callback",
            parameters=[("code", "abc"), ("state", "xyz"), ("iss", "http://127.0.0.1:8320")],
            platform_name="安徽政务服务网",
        ),
        "front": FrontPage(entity_id="http://127.0.0.1:8320", anchor="http://127.0.0.1:8300", has_login=True),
    }
)
"""Each page by the name that its pictures have."""

_EVIL_PAPER: Final = PaperView(
    paper_id=HOSTILE,
    asking=HOSTILE,
    platform=HOSTILE,
    platform_name=HOSTILE,
    answering=(HOSTILE,),
    certificate_types=(HOSTILE,),
    fields=(HOSTILE,),
    service_item=HOSTILE,
    case_number=HOSTILE,
    purpose=HOSTILE,
    uses=1,
    expires_at=int((_AT + timedelta(days=7)).timestamp()),
    service_item_code=HOSTILE,
)
_EVIL_PARTY: Final = PartyShown(HOSTILE, f"{HOSTILE}2")
HOSTILE_PAGES: Final[Mapping[str, Page]] = MappingProxyType(
    {
        "chooser": ChooserPage(
            form=Form(HOSTILE, HOSTILE),
            platform_name=HOSTILE,
            provinces=[ProvinceChoice(code=HOSTILE, name=HOSTILE)],
        ),
        "consent": ConsentPage(
            form=Form(HOSTILE, HOSTILE),
            platform=OnBehalf(HOSTILE, HOSTILE),
            recipient_province=HOSTILE,
            recipient_name=HOSTILE,
            claims={HOSTILE: HOSTILE, "name": HOSTILE, "face": {HOSTILE: HOSTILE}, "citizen_number": HOSTILE},
            papers=[_EVIL_PAPER],
            account_name=HOSTILE,
        ),
        "error": ErrorPage(
            code=HOSTILE,
            turn=Turn.PEER_NODE,
            number=HOSTILE,
            detail=HOSTILE,
            retry=f"/{HOSTILE}",
            platform_name=HOSTILE,
            peer_name=HOSTILE,
        ),
        "me": replace(
            _ME,
            account_name=HOSTILE,
            sessions=[
                SessionShown(
                    session=HOSTILE,
                    began_at=0,
                    expires_at=1,
                    acr=HOSTILE,
                    origin=HOSTILE,
                    parties=[_EVIL_PARTY],
                )
            ],
            agreements=[
                Agreement(
                    agreement_id=HOSTILE,
                    recipient=HOSTILE,
                    platform=HOSTILE,
                    platform_name=HOSTILE,
                    claims=frozenset({HOSTILE}),
                    given_at=0,
                )
            ],
            papers=[_EVIL_PAPER],
            uses=[
                UseShown(
                    request_id=HOSTILE,
                    asked_at=_AT,
                    asking=HOSTILE,
                    answering=HOSTILE,
                    operation=HOSTILE,
                    platform=_EVIL_PARTY,
                    certificate_types=[HOSTILE],
                    service_item=HOSTILE,
                    case_number=HOSTILE,
                    purpose=HOSTILE,
                )
            ],
            missing=[NotAskedShown(province=HOSTILE, name=HOSTILE)],
            more=f"/{HOSTILE}",
            recipients={HOSTILE: HOSTILE},
        ),
        "logout": LogoutConfirmPage(
            form=Form(HOSTILE, HOSTILE), platform_name=HOSTILE, parties=[HOSTILE, HOSTILE]
        ),
        "signed-out": SignedOutPage(
            ended=[EndedAt(HOSTILE, False)], onward=f"/{HOSTILE}", platform_name=HOSTILE
        ),
        "form-post": FormPostPage(
            redirect_uri=f"https://a.example/{HOSTILE}",
            parameters=[(HOSTILE, HOSTILE)],
            platform_name=HOSTILE,
        ),
        "front": FrontPage(entity_id=HOSTILE, anchor=HOSTILE),
    }
)
