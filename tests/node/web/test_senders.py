"""`node.web.senders`: whoever sends many requests cannot pass for many senders."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from node.web.senders import sender_of


def sent(remote: str, *forwarded: str, proxies: int) -> str:
    headers = CIMultiDict([("X-Forwarded-For", line) for line in forwarded])
    request = make_mocked_request("POST", "/", headers=headers).clone(remote=remote)
    return sender_of(request, proxies=proxies)


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "sender"),
    [
        ("192.0.2.7", [], 0, "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], 0, "192.0.2.7"),
        ("127.0.0.1", ["198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", ["203.0.113.9", "198.51.100.1"], 1, "198.51.100.1"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.1, 192.0.2.1"], 2, "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1"], 2, "127.0.0.1"),
        ("127.0.0.1", ["unknown"], 1, "127.0.0.1"),
        ("127.0.0.1", [", "], 1, "127.0.0.1"),
        ("127.0.0.1", ["fe80::1%eth0"], 1, "fe80::/64"),
        ("127.0.0.1", ["fe80::1%" + "x" * 57], 1, "127.0.0.1"),
        ("2001:db8:1:2:3::9", [], 0, "2001:db8:1:2::/64"),
        ("::1", ["2001:db8:1:2:ffff::1"], 1, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", [], 0, "192.0.2.7"),
    ],
    ids=[
        "straight",
        "made up where there is no proxy",
        "one proxy",
        "made up before the proxy",
        "made up in a line of its own",
        "two proxies",
        "past one of the proxies",
        "no address",
        "nothing",
        "in a zone",
        "longer than any address",
        "a network of one subscriber",
        "the same behind a proxy",
        "IPv4 in IPv6",
    ],
)
def test_the_address_is_the_one_that_our_own_side_saw(
    remote: str, forwarded: Sequence[str], proxies: int, sender: str
) -> None:
    assert sent(remote, *forwarded, proxies=proxies) == sender
