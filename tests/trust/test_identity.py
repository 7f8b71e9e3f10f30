"""Entity ids have one spelling; the TLS name is a digest of it."""

from __future__ import annotations

import base64
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import EntityIdRejected
from trust.identity import check_entity_id, host_and_port, is_loopback_host, tls_name


@pytest.mark.parametrize(
    "value",
    [
        "https://node.zj.example",
        "https://node.zj.example:8443",
        "https://zj.example/yrd/node-1",
        "https://192.0.2.7",
        "https://[2001:db8::1]:8443",
    ],
)
def test_an_entity_id_is_taken_as_it_is(value: str) -> None:
    assert check_entity_id(value) == value


@pytest.mark.parametrize("value", ["http://127.0.0.1:8330", "http://localhost", "http://[::1]:8330"])
def test_plain_http_needs_loopback_and_a_setting(value: str) -> None:
    assert check_entity_id(value, allow_http_on_loopback=True) == value
    with pytest.raises(EntityIdRejected):
        check_entity_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "node.zj.example",
        "https://",
        "https:///path",
        "HTTPS://node.zj.example",
        "https://Node.zj.example",
        "https://node.zj.example/",
        "https://node.zj.example/a/",
        "https://node.zj.example//a",
        "https://node.zj.example/../a",
        "https://node.zj.example/a%20b",
        "https://node.zj.example:443",
        "https://node.zj.example:",
        "https://node.zj.example:0443",
        "https://node.zj.example:99999",
        "https://user@node.zj.example",
        "https://node.zj.example?x=1",
        "https://node.zj.example?",
        "https://node.zj.example#x",
        "https://node_zj.example",
        "https://-node.example",
        "https://节点.example",
        "https://[::1",
        "https://2001:db8::1",
        "ftp://node.zj.example",
        "https://node.zj.example\n",
        " https://node.zj.example",
        "https://" + "a" * 250 + ".example",
        "http://node.zj.example",
        "http://127.0.0.1.example",
        "http://192.0.2.7",
    ],
)
def test_another_spelling_is_refused(value: str) -> None:
    with pytest.raises(EntityIdRejected):
        check_entity_id(value, allow_http_on_loopback=True)


def test_something_else_than_text_is_refused() -> None:
    with pytest.raises(EntityIdRejected):
        check_entity_id(7)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_any_text_is_taken_as_it_is_or_refused(value: str) -> None:
    with suppress(EntityIdRejected):
        assert check_entity_id("https://" + value) == "https://" + value


@given(st.text(min_size=1))
def test_a_tls_name_is_the_whole_digest_in_one_label(entity_id: str) -> None:
    name = tls_name(entity_id)
    label, _, rest = name.partition(".")
    assert (len(label), rest) == (52, "peer.yrd")
    assert base64.b32decode(label.upper() + "====") == sha256(entity_id.encode()).digest()


def test_a_grpc_endpoint_is_host_and_port() -> None:
    assert host_and_port("127.0.0.1:8333") == ("127.0.0.1", 8333)
    assert host_and_port("node.zj.example:443") == ("node.zj.example", 443)
    assert host_and_port("[::1]:8333") == ("::1", 8333)


@pytest.mark.parametrize(
    "endpoint",
    ["", ":1", "a", "a:", "a:0", "a:65536", "a:x", "a b:1", "http://a:1", "unix:/x", "dns:///a:1", "a:１"],
)
def test_another_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(EntityIdRejected):
        host_and_port(endpoint)


def test_loopback_is_known_by_name_and_number() -> None:
    assert all(is_loopback_host(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback_host(host) for host in ("localhost.example", "192.0.2.7", "::2", ""))
