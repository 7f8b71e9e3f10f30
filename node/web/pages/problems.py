"""What an error page says for each refusal: what happened, and what to do, in both languages.

Each text is (title, what happened, what now). A code without a text of its own gets that of whose turn it is.
`{platform}` and `{peer}` are filled in, escaped.
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
                "{platform} sent a login request that cannot be accepted. You did nothing wrong; nothing was shared.",
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
                "{peer} does not answer",
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

PROBLEMS: Final[Mapping[str, Problem]] = MappingProxyType({})


def problem(code: str, turn: Turn) -> Problem:
    """The texts of a refusal."""
    return PROBLEMS.get(code) or BY_TURN[turn]
