"""What an error page says for each refusal: what happened, and what to do, in both languages.

Each text is (title, what happened, what now). A code without a text of its own gets that of whose turn it is.
`{platform}` and `{peer}` are filled in, escaped; `{Platform}` and `{Peer}` are the same where a sentence begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from federation.login.refusals import Turn
from node.web.pages.phrases import Lang

__all__ = ["BY_TURN", "PROBLEMS", "Problem", "ProblemText", "problem"]


@dataclass(frozen=True, slots=True)
class ProblemText:
    """One refusal in one language."""

    title: str
    happened: str
    now: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal in both languages."""

    zh: ProblemText
    en: ProblemText

    def text(self, lang: Lang) -> ProblemText:
        """The one of a language."""
        return self.zh if lang == "zh" else self.en


def _texts(zh: tuple[str, str, str], en: tuple[str, str, str]) -> Problem:
    return Problem(ProblemText(*zh), ProblemText(*en))


BY_TURN: Final[Mapping[Turn, Problem]] = MappingProxyType(
    {
        Turn.CITIZEN: _texts(
            ("登录没有完成", "这一步无法继续。", "请回到{platform}，重新登录。"),
            (
                "The login was not finished",
                "This step cannot go on.",
                "Go back to {platform} and log in again.",
            ),
        ),
        Turn.PLATFORM: _texts(
            (
                "{platform}的登录请求有误",
                "{platform}发来的登录请求不符合要求。您没有做错什么，也没有提供任何信息。",
                "请把下面的编号告诉{platform}的客服，由他们处理。",
            ),
            (
                "The request of {platform} is not in order",
                "{Platform} sent a login request that cannot be accepted. You did nothing wrong; nothing was shared.",
                "Please give the number below to the support of {platform}: they have to act.",
            ),
        ),
        Turn.OWN_NODE: _texts(
            (
                "本系统暂时出现问题",
                "本系统没能完成这次登录。您没有做错什么，也没有提供任何信息。",
                "请稍后再试。如果仍不成功，请提供下面的编号。",
            ),
            (
                "Something is wrong on our side",
                "This system could not finish the login. You did nothing wrong, and nothing was shared.",
                "Please try again later. If it still fails, quote the number below.",
            ),
        ),
        Turn.PEER_NODE: _texts(
            (
                "{peer}暂时没有回应",
                "{peer}的登录系统没有给出可用的答复。您没有做错什么，也没有提供任何信息。",
                "请过几分钟再试。对方正在处理。",
            ),
            (
                "{Peer} does not answer",
                "The login system of {peer} gave no usable answer. You did nothing wrong, and nothing was shared.",
                "Please try again in a few minutes. It is for them to put right.",
            ),
        ),
        Turn.IDENTITY_PROVIDER: _texts(
            (
                "身份认证系统暂时没有回应",
                "本省的统一身份认证系统没有给出可用的答复。您没有做错什么，也没有提供任何信息。",
                "请过几分钟再试。",
            ),
            (
                "The identity provider does not answer",
                "The province's identity provider gave no usable answer. You did nothing wrong; nothing was shared.",
                "Please try again in a few minutes.",
            ),
        ),
    }
)

PROBLEMS: Final[Mapping[str, Problem]] = MappingProxyType(
    {
        "login.expired": _texts(
            (
                "这次登录已经失效",
                "登录页面打开超过了时限，或是在另一个浏览器中打开的。没有提供任何信息。",
                "请回到{platform}，重新登录。若反复出现，请允许浏览器为本网站保存 Cookie。",
            ),
            (
                "This login has expired",
                "The page was open for too long, or was opened in another browser. Nothing was shared.",
                (
                    "Go back to {platform} and log in again. If this happens again, allow your browser "
                    "to keep cookies of this site."
                ),
            ),
        ),
        "login.finished": _texts(
            (
                "这次登录已经完成",
                "这个页面属于一次已经结束的登录，不能再用。",
                "请回到{platform}继续办事；如未登录，请在那里重新登录。",
            ),
            (
                "This login is over",
                "This page belongs to a login that has ended. It cannot be used again.",
                "Go back to {platform} and carry on there, or log in again.",
            ),
        ),
        "login.outdated": _texts(
            (
                "这次登录已在别处继续",
                "您可能在另一个窗口继续了登录，或者按了“后退”。",
                "请到最新的窗口继续，或者再试一次。",
            ),
            (
                "This login went on elsewhere",
                "You may have gone on in another window, or pressed “back”.",
                "Go on in the newest window, or try again.",
            ),
        ),
        "login.csrf": _texts(
            (
                "这一步没有被接受",
                "提交的内容不是从当前页面发出的，可能是页面打开太久了。没有提供任何信息。",
                "请再试一次。",
            ),
            (
                "This step was not accepted",
                (
                    "What was sent did not come from the current page, which may have been open for too "
                    "long. Nothing was shared."
                ),
                "Please try again.",
            ),
        ),
        "login.session_ended": _texts(
            (
                "您的登录状态已改变",
                "在您确认之前，这台设备上的登录已结束或换成了别人。没有提供任何信息。",
                "请再试一次：重新登录后，会再次征求您的同意，然后回到{platform}。",
            ),
            (
                "You are no longer logged in",
                "Before you confirmed, the login on this device ended or became somebody else's. Nothing was shared.",
                "Try again: you log in anew, are asked once more, and return to {platform}.",
            ),
        ),
        "login.request_expired": _texts(
            (
                "登录链接已失效",
                "{platform}给出的登录链接只能使用一次，并且很快失效。",
                "请回到{platform}，重新点“登录”。",
            ),
            (
                "The login link is no longer valid",
                "The link that {platform} gave you works once, and for a short time only.",
                "Go back to {platform} and choose “log in” again.",
            ),
        ),
        "login.redirect_uri": _texts(
            (
                "无法返回{platform}",
                "{platform}要求返回的地址没有登记。为了您的安全，登录没有继续。",
                "请把下面的编号告诉{platform}的客服，由他们处理。",
            ),
            (
                "Cannot return to {platform}",
                (
                    "{Platform} asked to return to an address that is not registered. For your safety "
                    "the login was stopped."
                ),
                "Please give the number below to the support of {platform}: they have to act.",
            ),
        ),
        "login.unknown_client": _texts(
            (
                "不认识这个平台",
                "请求登录的平台没有在本系统登记。为了您的安全，登录没有继续。",
                "请核对您是从哪个网站来的。如果是政务平台，请把下面的编号告诉其客服。",
            ),
            (
                "This platform is not known",
                "The platform that asked for the login is not registered here. For your safety the login was stopped.",
                "Check which site you came from. If it is a public service, give the number below to its support.",
            ),
        ),
        "login.logout_request": _texts(
            (
                "退出请求有误",
                "{platform}发来的退出请求不符合要求。您在这里的登录没有改变。",
                "可以在“我的登录与授权”中退出；请把下面的编号告诉{platform}的客服。",
            ),
            (
                "The log-out request is not in order",
                "{Platform} sent a log-out request that cannot be accepted. Your login here is unchanged.",
                (
                    "You can log out under “My logins and consents”. Please give the number below to the "
                    "support of {platform}."
                ),
            ),
        ),
        "login.too_often": _texts(
            ("操作过于频繁", "短时间内的请求太多了，这一次没有处理。", "请稍等一分钟再试。"),
            (
                "Too many requests",
                "There were too many requests within a short time; this one was not handled.",
                "Please wait a minute and try again.",
            ),
        ),
        "login.unavailable": _texts(
            (
                "系统繁忙",
                "本系统暂时无法处理这次登录。您没有做错什么，也没有提供任何信息。",
                "请稍等片刻再试。",
            ),
            (
                "The system is busy",
                "This system cannot handle the login right now. You did nothing wrong; nothing was shared.",
                "Please try again in a moment.",
            ),
        ),
        "login.peer_node_away": _texts(
            (
                "暂时连不上{peer}",
                "{peer}的登录系统没有回应。您没有做错什么，也没有提供任何信息。",
                "请过几分钟再试。这需要{peer}恢复服务。",
            ),
            (
                "{Peer} cannot be reached",
                "The login system of {peer} does not answer. You did nothing wrong; nothing was shared.",
                "Please try again in a few minutes. It is for {peer} to restore the service.",
            ),
        ),
        "login.peer_node_refused": _texts(
            (
                "{peer}没有接受登录",
                "{peer}的登录系统拒绝了这次登录请求。您没有做错什么，也没有提供任何信息。",
                "请再试一次；如仍不成功，请提供下面的编号，由两地的系统管理人员处理。",
            ),
            (
                "{Peer} did not accept the login",
                "The login system of {peer} refused the request. You did nothing wrong; nothing was shared.",
                (
                    "Please try again. If it still fails, quote the number below: the operators of both "
                    "systems have to act."
                ),
            ),
        ),
        "login.peer_node_wrong": _texts(
            (
                "{peer}的答复未通过核验",
                "收到的登录结果无法确认来自{peer}，已被丢弃。没有提供任何信息。",
                "请再试一次；如仍不成功，请提供下面的编号。",
            ),
            (
                "The answer of {peer} could not be verified",
                (
                    "The result of the login could not be confirmed to come from {peer} and was "
                    "discarded. Nothing was shared."
                ),
                "Please try again. If it still fails, quote the number below.",
            ),
        ),
        "login.peer_node_no_trust": _texts(
            (
                "暂时不能用{peer}的账户登录",
                "本系统目前无法确认{peer}登录系统的可信状态。您没有做错什么，也没有提供任何信息。",
                "请稍后再试。这需要{peer}的系统管理人员处理。",
            ),
            (
                "Accounts of {peer} cannot be used now",
                (
                    "This system cannot confirm at present that the login system of {peer} is trusted. "
                    "You did nothing wrong; nothing was shared."
                ),
                "Please try again later. It is for the operators in {peer} to act.",
            ),
        ),
        "login.identity_provider_away": _texts(
            (
                "统一身份认证系统暂时没有回应",
                "本省的统一身份认证系统没有回应。您没有做错什么，也没有提供任何信息。",
                "请过几分钟再试。",
            ),
            (
                "The identity provider does not answer",
                "The province's identity provider does not answer. You did nothing wrong; nothing was shared.",
                "Please try again in a few minutes.",
            ),
        ),
        "login.identity_provider_refused": _texts(
            (
                "统一身份认证系统没有接受登录",
                "本省的统一身份认证系统拒绝了这次登录请求。没有提供任何信息。",
                "请再试一次；如仍不成功，请提供下面的编号。",
            ),
            (
                "The identity provider did not accept the login",
                "The province's identity provider refused the request. Nothing was shared.",
                "Please try again. If it still fails, quote the number below.",
            ),
        ),
        "login.identity_provider_wrong": _texts(
            (
                "身份认证结果未通过核验",
                "收到的认证结果无法确认来自本省统一身份认证系统，已被丢弃。没有提供任何信息。",
                "请再试一次；如仍不成功，请提供下面的编号。",
            ),
            (
                "The result of the login could not be verified",
                (
                    "It could not be confirmed to come from the province's identity provider and was "
                    "discarded. Nothing was shared."
                ),
                "Please try again. If it still fails, quote the number below.",
            ),
        ),
    }
)
"""Codes that a refusal tells apart for the citizen; the others are told by whose turn it is."""


def problem(code: str, turn: Turn) -> Problem:
    """The texts of a refusal."""
    return PROBLEMS.get(code) or BY_TURN[turn]
