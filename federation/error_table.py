"""The table of the one error vocabulary: code ↔ gRPC status ↔ HTTP status ↔ text for people.

Whoever adds a line adds the class beside it in `federation.errors`; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TABLE", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `grpc` is the name of a gRPC status code."""

    code: str
    grpc: str
    http: int
    zh: str
    en: str


_ROWS = (
    # the caller of this node
    Row("own.malformed_request", "INVALID_ARGUMENT", 400, "请求格式有误", "The request is malformed"),
    Row(
        "own.bad_value",
        "INVALID_ARGUMENT",
        400,
        "请求中有不正确的值",
        "A value in the request is not correct",
    ),
    Row(
        "own.unknown_code",
        "INVALID_ARGUMENT",
        400,
        "代码不在本省代码表中",
        "A code is not in the province's list",
    ),
    Row(
        "own.unknown_province", "INVALID_ARGUMENT", 400, "没有这个省级节点", "There is no such province here"
    ),
    Row(
        "own.own_province",
        "INVALID_ARGUMENT",
        400,
        "不能经节点查询本省",
        "A node is not asked for its own province",
    ),
    Row("own.unauthenticated", "UNAUTHENTICATED", 401, "未提供有效的访问令牌", "No valid access token"),
    Row("own.token_expired", "UNAUTHENTICATED", 401, "访问令牌已过期", "The access token has expired"),
    Row(
        "own.forbidden",
        "PERMISSION_DENIED",
        403,
        "该客户端没有此项权限",
        "This client does not have that right",
    ),
    Row("own.not_found", "NOT_FOUND", 404, "没有找到", "Not found"),
    Row("own.method_not_allowed", "UNIMPLEMENTED", 405, "不支持此方法", "That method is not offered here"),
    Row("own.in_progress", "ABORTED", 409, "同一请求仍在处理", "The same request is still at work"),
    Row(
        "own.idempotency_conflict",
        "ABORTED",
        422,
        "同一幂等键用于不同请求",
        "Idempotency key used for another request",
    ),
    Row("own.too_large", "RESOURCE_EXHAUSTED", 413, "请求过大", "The request is too large"),
    Row("own.unsupported_media", "INVALID_ARGUMENT", 415, "请求须为 JSON", "The request must be JSON"),
    Row("own.over_quota", "RESOURCE_EXHAUSTED", 429, "请求过于频繁", "Too many requests"),
    Row("own.busy", "UNAVAILABLE", 503, "节点繁忙", "The node is busy"),
    Row(
        "own.store_unavailable",
        "UNAVAILABLE",
        503,
        "存证库暂不可用，未放行任何数据",
        "The store is unavailable; nothing was released",
    ),
    Row(
        "own.key_unavailable",
        "UNAVAILABLE",
        503,
        "签名密钥暂不可用，未放行任何数据",
        "The signing key cannot be reached; nothing was released",
    ),
    Row(
        "own.record_damaged",
        "DATA_LOSS",
        500,
        "存证记录已损坏或被改动",
        "A record of evidence was altered or cannot be decrypted",
    ),
    Row(
        "own.log_closed",
        "UNAVAILABLE",
        503,
        "存证日志已关闭，未放行任何数据；查明原因后执行 yrd log restart",
        "The log of evidence is closed; nothing was released: find out why, then yrd log restart",
    ),
    Row("own.shutting_down", "UNAVAILABLE", 503, "节点正在停止", "The node is shutting down"),
    Row(
        "own.deadline",
        "DEADLINE_EXCEEDED",
        504,
        "在时限内没有结果，可稍后取回",
        "No result in time; it can be fetched later",
    ),
    # access
    Row("access.denied", "PERMISSION_DENIED", 403, "访问规则不允许", "No access rule allows this"),
    Row(
        "access.consent_unsupported",
        "PERMISSION_DENIED",
        403,
        "此操作不以授权为依据",
        "A consent is no basis for this operation",
    ),
    Row(
        "access.consent_missing",
        "PERMISSION_DENIED",
        403,
        "以授权为依据，但未附授权",
        "The basis is a consent, and none was shown",
    ),
    Row(
        "access.consent_rejected",
        "PERMISSION_DENIED",
        403,
        "授权不成立：格式、签名或签发方不符",
        "The consent is not believed: its form, signature or issuer",
    ),
    Row(
        "access.consent_mismatch",
        "PERMISSION_DENIED",
        403,
        "授权不适用于此次查询",
        "The consent is for something else",
    ),
    Row(
        "access.consent_self_issued",
        "PERMISSION_DENIED",
        403,
        "授权由请求方节点自行签发",
        "The asking node issued the consent to itself",
    ),
    Row(
        "access.consent_expired",
        "PERMISSION_DENIED",
        403,
        "授权已到期，请重新征得同意",
        "The consent has ended: ask the holder again",
    ),
    Row(
        "access.consent_withdrawn",
        "PERMISSION_DENIED",
        403,
        "持证人已撤回授权",
        "The holder withdrew the consent",
    ),
    Row(
        "access.consent_used_up",
        "PERMISSION_DENIED",
        403,
        "授权的使用次数已用完",
        "The consent was used as often as it may be",
    ),
    Row(
        "access.consent_status_old",
        "UNAVAILABLE",
        503,
        "归属地节点的授权状态过旧，无法确认授权仍有效，请稍后再试",
        "The status of the consent is not known or too old: try again later",
    ),
    # the other node
    Row(
        "peer.unknown",
        "PERMISSION_DENIED",
        502,
        "对端节点不在联邦中",
        "The peer is not a member of the federation",
    ),
    Row("peer.revoked", "PERMISSION_DENIED", 502, "对端节点已被撤销", "The peer has been revoked"),
    Row(
        "peer.denied",
        "PERMISSION_DENIED",
        502,
        "本节点已停止信任该对端",
        "This node no longer trusts the peer",
    ),
    Row(
        "peer.chain_expired",
        "PERMISSION_DENIED",
        502,
        "对端的信任链已过期，请检查锚、对端与本机时钟",
        "The peer's trust chain has expired: look to the anchor, the peer and the clock",
    ),
    Row("peer.unreachable", "UNAVAILABLE", 502, "对端节点无法连接", "The peer cannot be reached"),
    Row(
        "peer.timeout",
        "DEADLINE_EXCEEDED",
        504,
        "对端节点超时，可稍后取回",
        "The peer did not answer in time; the answer can be fetched later",
    ),
    Row(
        "peer.tls_identity",
        "UNAUTHENTICATED",
        502,
        "对端的传输身份不符",
        "The peer's TLS identity does not fit",
    ),
    Row("peer.too_large", "RESOURCE_EXHAUSTED", 502, "消息过大", "The message is too large"),
    Row("peer.malformed", "INVALID_ARGUMENT", 502, "消息格式有误", "The message is malformed"),
    Row(
        "peer.two_signatures",
        "INVALID_ARGUMENT",
        502,
        "消息须恰有一个签名",
        "A message carries exactly one signature",
    ),
    Row("peer.signature_form", "INVALID_ARGUMENT", 502, "签名形式不符", "The signature has the wrong form"),
    Row("peer.over_quota", "RESOURCE_EXHAUSTED", 502, "对端请求过于频繁", "The peer is over its quota"),
    Row(
        "peer.unsupported_type",
        "UNIMPLEMENTED",
        502,
        "不支持的消息类型或版本",
        "Message type or version not supported",
    ),
    Row(
        "peer.unknown_critical",
        "UNIMPLEMENTED",
        502,
        "有必须理解而不认识的字段",
        "A critical field is not known here",
    ),
    Row(
        "peer.foreign_key", "UNAUTHENTICATED", 502, "签名密钥不属于对端", "The signing key is not the peer's"
    ),
    Row("peer.bad_signature", "UNAUTHENTICATED", 502, "签名无效", "The signature is not valid"),
    Row(
        "peer.wrong_asker",
        "PERMISSION_DENIED",
        502,
        "声明的请求方不是签名方",
        "The asking node named is not the signer",
    ),
    Row(
        "peer.wrong_audience",
        "INVALID_ARGUMENT",
        502,
        "消息不是发给本节点的",
        "The message is for another node",
    ),
    Row(
        "peer.wrong_operation",
        "INVALID_ARGUMENT",
        502,
        "操作与调用的方法不符",
        "The operation is not that of the method called",
    ),
    Row("peer.expired", "FAILED_PRECONDITION", 502, "请求已过期", "The request has expired"),
    Row(
        "peer.stale",
        "FAILED_PRECONDITION",
        502,
        "消息时间过早，请校时",
        "The message is too old: compare clocks",
    ),
    Row(
        "peer.from_future",
        "FAILED_PRECONDITION",
        502,
        "消息时间超前，请校时",
        "The message is from the future: compare clocks",
    ),
    Row(
        "peer.replayed",
        "ALREADY_EXISTS",
        502,
        "同一编号用于不同内容",
        "The same id was used for other content",
    ),
    Row("peer.in_progress", "ABORTED", 504, "同一请求仍在处理", "The same request is still at work"),
    Row("peer.no_answer", "NOT_FOUND", 502, "没有可取回的答复", "There is no finished answer to fetch"),
    Row("peer.wrong_answer", "INTERNAL", 502, "答复与请求不符", "The answer does not belong to the request"),
    Row("peer.method_refused", "UNIMPLEMENTED", 502, "没有这个方法", "There is no such method"),
    Row("peer.busy", "UNAVAILABLE", 502, "对端节点繁忙", "The peer is busy"),
    Row("peer.internal", "INTERNAL", 502, "对端节点内部错误", "The peer had an internal error"),
    # a registry
    Row("registry.timeout", "DEADLINE_EXCEEDED", 504, "证照库超时", "The registry did not answer in time"),
    Row("registry.unreachable", "UNAVAILABLE", 502, "证照库无法连接", "The registry cannot be reached"),
    Row(
        "registry.bad_answer",
        "INTERNAL",
        502,
        "证照库的答复无法理解",
        "The registry's answer cannot be understood",
    ),
    Row("registry.not_offered", "UNIMPLEMENTED", 501, "该省未提供此项", "The province does not offer this"),
    # the federation's statements
    Row("trust.key_rejected", "UNAUTHENTICATED", 502, "密钥不被接受", "A key is not acceptable"),
    Row(
        "trust.statement_rejected",
        "UNAUTHENTICATED",
        502,
        "信任声明不合规则",
        "A trust statement breaks a rule",
    ),
    Row("trust.rolled_back", "UNAUTHENTICATED", 502, "信任声明被回退", "A trust statement was rolled back"),
    Row("trust.chain_broken", "UNAUTHENTICATED", 502, "信任链不成立", "No trust chain leads to the anchor"),
    Row(
        "trust.authentication_rejected",
        "PERMISSION_DENIED",
        403,
        "持证主体的登录声明未被采信",
        "The statement that a holder is logged in is not believed",
    ),
    Row("trust.chain_expired", "UNAUTHENTICATED", 502, "信任链已过期", "The trust chain has expired"),
    Row("evidence.broken", "DATA_LOSS", 422, "存证文件不成立", "The evidence does not hold"),
    Row(
        "internal",
        "INTERNAL",
        500,
        "内部错误，请凭事件编号联系运维",
        "Internal error; give the incident id to the operator",
    ),
)

TABLE: dict[str, Row] = {row.code: row for row in _ROWS}
