"""Every sentence of the pages, Chinese and English. Templates ask for them by key; `{names}` are filled in, escaped.

A number that a noun follows in English is written with both forms of the noun, ``{days:day|days}``, and shown with the
one that goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["BADGES", "CLAIMS", "LANGUAGES", "LEVEL_WORDS", "OPERATIONS", "PHRASES", "PROVINCES", "Lang"]

Lang = Literal["zh", "en"]
LANGUAGES: Final[tuple[Lang, ...]] = ("zh", "en")

PROVINCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "310000": ("上海市", "Shanghai"),
        "320000": ("江苏省", "Jiangsu"),
        "330000": ("浙江省", "Zhejiang"),
        "340000": ("安徽省", "Anhui"),
    }
)
BADGES: Final[Mapping[str, str]] = MappingProxyType(
    {"310000": "沪", "320000": "苏", "330000": "浙", "340000": "皖"}
)
"""The one character that everybody knows a province by, from number plates."""

CLAIMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "name": ("姓名", "Name"),
        "gender": ("性别", "Sex"),
        "birthdate": ("出生日期", "Date of birth"),
        "citizen_number": ("公民身份号码", "Citizen number"),
        "holder_id_type": ("证件类型", "Type of identity document"),
        "face": ("居民身份证照面信息", "What is on the identity card"),
        "offline_access": ("保持登录", "Staying logged in"),
        "姓名": ("姓名", "Name"),
        "性别": ("性别", "Sex"),
        "民族": ("民族", "Ethnic group"),
        "出生日期": ("出生日期", "Date of birth"),
        "住址": ("住址", "Address"),
        "公民身份号码": ("公民身份号码", "Citizen number"),
    }
)
"""Shared names of what is handed over, and those of the fields of an identity card."""

LEVEL_WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "yrd.l1": ("一级：账户登录", "level 1: account only"),
        "yrd.l2": ("二级：已实名", "level 2: name and number verified"),
        "yrd.l3": ("三级：本人核验", "level 3: person verified"),
        "yrd.l4": ("四级：现场或数字证书核验", "level 4: in person or by a qualified key"),
    }
)

OPERATIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "certificates.query": ("查询证照", "looked for certificates"),
        "certificates.get": ("调取证照", "fetched a certificate"),
        "certificates.verify": ("核验证照", "verified a certificate"),
        "holder.record": ("查询用证记录", "asked for the record of use"),
    }
)

PHRASES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # --- every page
        "site": ("长三角“一网通办”", "Yangtze Delta One-Stop Service"),
        "site.login": ("长三角“一网通办”统一登录", "Yangtze Delta Login"),
        "skip": ("跳到正文", "Skip to content"),
        "switch.label": ("语言", "Language"),
        "switch": ("English", "中文"),
        "foot.host": (
            "请认准本页网址：{host}。工作人员不会向您索要密码或验证码。",
            "Check the address of this page: {host}. Nobody from the service will ask for your password or codes.",
        ),
        "foot.me": ("我的登录与授权", "My logins and consents"),
        "and": ("、", ", "),
        "colon": ("：", ": "),
        # --- chooser
        "chooser.title": ("选择账户所在省市", "Choose where your account is"),
        "chooser.h1": ("您的账户在哪个省市？", "Where is your account?"),
        "chooser.lead": (
            "{platform}请您登录。请选择您注册实名账户的省市，我们将带您到那里登录，密码只在那里输入。",
            (
                "{platform} asks you to log in. Choose where your real-name account is registered: you log in there, "
                "and enter your password only there."
            ),
        ),
        "chooser.legend": ("账户所在省市", "Province of your account"),
        "chooser.away": ("暂时无法登录", "not available now"),
        "chooser.remember": ("在这台设备上记住我的选择", "Remember my choice on this device"),
        "chooser.remember.note": ("公用电脑请勿勾选", "Not on a shared computer"),
        "chooser.cancel": ("不登录，返回", "Cancel and go back"),
        "chooser.own": ("本省账户", "this province"),
        # --- consent
        "consent.title": ("确认提供的信息", "Confirm what you share"),
        "consent.h1": ("同意提供这些信息吗？", "Share this information?"),
        "consent.h1.papers": ("同意查阅您的证照吗？", "Allow use of your certificates?"),
        "consent.account": ("您以 {name} 的身份登录。", "You are logged in as {name}."),
        "consent.to": ("提供给", "Shared with"),
        "consent.for": ("用于", "For"),
        "consent.for.login": ("登录并识别您的身份", "logging you in and knowing who you are"),
        "consent.offline": (
            "在该平台保持登录 {days} 天，期间不再询问，退出登录后仍然有效。",
            "You stay logged in there for {days:day|days} without being asked, even after you log out.",
        ),
        "consent.claims": ("将提供的信息", "What is shared"),
        "consent.always": (
            "另含：一个仅供该平台识别您的编号、实名等级和登录时间。",
            "Also: an identifier of you for this platform only, your assurance level, and when you logged in.",
        ),
        "consent.nothing": (
            "不提供姓名、号码等个人信息，只确认您已登录。",
            "No name or number: only that you are logged in.",
        ),
        "consent.masked": (
            "号码此处部分隐藏，提供时为完整号码。",
            "The number is partly hidden here; it is shared in full.",
        ),
        "consent.papers": ("允许查阅的证照", "Certificates that may be looked at"),
        "consent.later": (
            "同意后，下次登录不再询问；您可随时在“我的登录与授权”中撤回。",
            "You are not asked again at the next login. You can withdraw at any time under “My logins and consents”.",
        ),
        "consent.later.papers": (
            "证照授权每次都会询问；您可随时在“我的登录与授权”中撤回，一分钟内各省停止提供。",
            (
                "You are asked each time for certificates. You can withdraw at any time under “My logins and "
                "consents”: within a minute no province hands them out."
            ),
        ),
        "consent.agree": ("同意并继续", "Agree and continue"),
        "consent.deny": ("不同意", "Do not agree"),
        "consent.deny.note": (
            "不同意则不会提供任何信息，您将返回{platform}。",
            "If you do not agree, nothing is shared and you return to {platform}.",
        ),
        # --- a consent as a paper
        "paper.types": ("证照", "Certificates"),
        "paper.fields": ("信息项", "Fields"),
        "paper.fields.all": ("照面全部信息", "everything on the face"),
        "paper.answering": ("提供方", "Provided by"),
        "paper.asking": ("使用方", "Used by"),
        "paper.basis": ("依据", "Basis"),
        "paper.item": ("服务事项", "Service"),
        "paper.case": ("办件编号", "Case"),
        "paper.purpose": ("用途", "Purpose"),
        "paper.uses": ("次数", "Uses"),
        "paper.uses.at_most": ("最多 {uses} 次", "at most {uses}"),
        "paper.until": ("有效至", "Valid until"),
        "paper.given": ("授权时间", "Given"),
        "paper.withdrawn": ("已于 {at} 撤回", "Withdrawn {at}"),
        "paper.expired": ("已过期", "Expired"),
        "paper.valid": ("有效", "Valid"),
        # --- my page
        "me.title": ("我的登录与授权", "My logins and consents"),
        "me.h1": ("{name}，您好", "Hello, {name}"),
        "me.h1.nameless": ("我的登录与授权", "My logins and consents"),
        "me.lead": (
            "在这里查看和管理您的登录、授权，以及谁查阅了您的证照。时间均为北京时间。",
            "See and manage your logins and consents, and who looked at your certificates. Times are Beijing time.",
        ),
        "me.nav": ("本页内容", "On this page"),
        "me.sessions": ("正在登录", "Logged in now"),
        "me.sessions.none": ("没有其他登录。", "No logins."),
        "me.session": ("登录于 {at}", "Since {at}"),
        "me.session.this": ("当前设备", "This device"),
        "me.session.level": ("实名等级", "Assurance level"),
        "me.session.parties": ("已登录到", "Logged in to"),
        "me.session.until": ("最晚至", "At the latest until"),
        "me.session.end": ("结束此登录", "End this login"),
        "me.agreements": ("登录授权", "Information shared at login"),
        "me.agreements.none": (
            "您尚未同意向任何平台提供信息。",
            "You have not agreed to share with any platform.",
        ),
        "me.agreement.claims": ("提供的信息", "What is shared"),
        "me.agreement.claims.none": ("仅登录", "login only"),
        "me.agreement.given": ("同意于", "Agreed"),
        "me.withdraw": ("撤回", "Withdraw"),
        "me.withdraw.from": ("给{name}使用{what}的授权", "the consent given to {name} for {what}"),
        "me.withdraw.login": ("给{name}的登录授权", "what is shared with {name}"),
        "me.papers": ("用证授权", "Consents to use certificates"),
        "me.papers.none": (
            "您没有授权任何平台使用证照。",
            "You have allowed no platform to use certificates.",
        ),
        "me.uses": ("谁查阅了我的证照", "Who looked at my certificates"),
        "me.uses.none": ("四省市均没有查阅记录。", "Nobody has, in any of the four provinces."),
        "me.uses.none.missing": (
            "已取得的记录中没有查阅。",
            "Nobody has, as far as the provinces could be asked.",
        ),
        "me.uses.unverified": (
            "您的账户尚未实名，无法按公民身份号码查找。请先在本省政务服务网完成实名认证。",
            "Your account has no verified citizen number to search for. Verify it at your province's portal first.",
        ),
        "me.uses.missing": (
            "暂未取得{names}的记录，请稍后再看。",
            "The record of {names} is missing for now. Please look again later.",
        ),
        "me.uses.more": ("查看更早的记录", "Older entries"),
        "me.details": ("详细信息", "Details"),
        "me.use.line": ("{asking}向{answering}{what}", "{asking} {what} at {answering}"),
        "me.use.platform": ("平台", "Platform"),
        "me.use.basis": ("依据", "Basis"),
        "me.use.number": ("查询编号", "Query number"),
        "me.use.forgotten": ("内容已按期删除", "content deleted after its time"),
        "basis.holders_consent": ("持证人授权", "your consent"),
        "basis.delegated_consent": ("委托授权", "delegated consent"),
        "basis.official_duty": ("依职能", "official duty"),
        "outcome.answered": ("已提供", "provided"),
        "outcome.refused": ("未提供", "refused"),
        "me.done.session_ended": ("该登录已结束。", "That login was ended."),
        "me.done.agreement_withdrawn": (
            "已撤回。下次登录该平台时会重新询问您。",
            "Withdrawn. You will be asked again at your next login there.",
        ),
        "me.done.paper_withdrawn": (
            "已撤回。一分钟内各省市停止据此提供证照。",
            "Withdrawn. Within a minute no province hands out certificates on it.",
        ),
        "me.logout": ("退出登录", "Log out"),
        # --- log-out
        "logout.title": ("退出登录", "Log out"),
        "logout.h1": ("要退出登录吗？", "Log out?"),
        "logout.lead": ("退出后，您在下列各处的登录都会结束：", "This ends your login everywhere below:"),
        "logout.lead.none": (
            "退出后，您在各省市平台的这次登录都会结束。",
            "This ends your login in all provinces.",
        ),
        "logout.asked": ("{platform}请求退出登录。", "{platform} asks to log you out."),
        "logout.yes": ("退出登录", "Log out"),
        "logout.no": ("保持登录", "Stay logged in"),
        "out.title": ("已退出登录", "Logged out"),
        "out.h1": ("您已退出登录", "You are logged out"),
        "out.lead": ("下列各处的登录已结束：", "What was ended:"),
        "out.lead.none": ("这台设备上的登录已结束。", "The login on this device has ended."),
        "out.told": ("已结束", "ended"),
        "out.pending": ("正在通知，稍后自动结束", "being told; ends by itself shortly"),
        "out.untold": ("无法通知，请到该平台退出", "cannot be told; log out there as well"),
        "out.onward": ("返回{platform}", "Back to {platform}"),
        "out.onward.nameless": ("返回", "Back"),
        "out.advice": (
            "如在公用电脑上，请关闭浏览器窗口。",
            "On a shared computer, close the browser window as well.",
        ),
        # --- form_post
        "post.title": ("正在返回", "Going back"),
        "post.h1": ("正在返回{platform}", "Going back to {platform}"),
        "post.lead": (
            "如果没有自动跳转，请点“继续”。",
            "If nothing happens, press Continue.",
        ),
        "post.go": ("继续", "Continue"),
        "post.platform": ("办事平台", "the service"),
        # --- errors
        "error.platform": ("办事平台", "the service"),
        "error.platform.first": ("办事平台", "The service"),
        "error.peer": ("对方省市", "the other province"),
        "error.peer.first": ("对方省市", "The other province"),
        "error.turn": ("接下来", "What now"),
        "error.number": ("如需帮助，请提供编号", "If you need help, quote this number"),
        "error.retry": ("再试一次", "Try again"),
        "error.detail": ("给技术人员的说明", "For the technical staff"),
        # --- front page
        "front.title": ("长三角“一网通办”联邦节点", "Federation node of the Yangtze Delta"),
        "front.lead": (
            "这是长三角“一网通办”联邦的省级节点。办事请前往本省政务服务网；本页面向技术人员。",
            (
                "This is a province's node in the federation of the Yangtze Delta. For public services, please go to "
                "the province's own portal; this page is for engineers."
            ),
        ),
        "front.name": ("节点", "Node"),
        "front.province": ("行政区划代码", "Province code"),
        "front.entity": ("实体标识", "Entity id"),
        "front.anchor": ("锚", "Anchor"),
        "front.statement": ("实体声明", "Entity configuration"),
        "front.me": (
            "市民：查看我的登录、授权与用证记录",
            "Citizens: my logins, consents, and who looked at my papers",
        ),
    }
)
