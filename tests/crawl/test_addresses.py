"""Where a connection may go, and that it goes to the address that was checked."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from lib.crawl.addresses import AddressRefusedError, CheckedBackend, Resolver, is_allowed
from lib.crawl.body import FetchError
from lib.crawl.fetch import Answer, Fetcher
from lib.crawl.request import Request
from tests.crawl.fetching import settings
from tests.crawl.server import answer, running

REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "169.254.169.254", "172.16.0.1", "192.0.0.8",
    "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::7f00:1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    "2002:a00:1::", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001::1", "2001:db8::1", "3fff::1", "100::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2002:6440:1::",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "100.63.255.255", "100.128.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::",
    "2606:4700::1111",
]  # fmt: skip
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]


def test_only_public_addresses_are_allowed_and_loopback_where_conf_says_so() -> None:
    assert [text for text in REFUSED if is_allowed(text, allow_loopback=False)] == []
    outside = [text for text in REFUSED if not text.startswith("2002:7f")]
    assert [text for text in outside if is_allowed(text, allow_loopback=True)] == []
    assert [text for text in PUBLIC if not is_allowed(text, allow_loopback=False)] == []
    assert [text for text in LOOPBACK if is_allowed(text, allow_loopback=False)] == []
    assert [text for text in LOOPBACK if not is_allowed(text, allow_loopback=True)] == []


@given(st.ip_addresses(v=4))
def test_an_address_means_the_same_in_every_dress(address: IPv4Address) -> None:
    expected = is_allowed(str(address), allow_loopback=False)
    number = int(address)
    for dress in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_allowed(str(IPv6Address(dress)), allow_loopback=False) == expected


def resolver_of(*answers: list[str]) -> Resolver:
    """Resolves any name to these, one after another, the last one for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def connect(
    resolver: Callable[[str, int], Awaitable[list[str]]], port: int = 9, *, allow_loopback: bool = False
) -> str:
    """The address that a connection to shop.example ends at."""

    async def run() -> str:
        backend = CheckedBackend(allow_loopback=allow_loopback, resolver=resolver)
        stream = await backend.connect_tcp("shop.example", port, timeout=2)
        address = str(stream.get_extra_info("server_addr")[0])
        await stream.aclose()
        return address

    return asyncio.run(run())


def test_a_name_that_changes_its_address_gains_nothing_by_it() -> None:
    with running({"/": answer(b"x", "200 OK", "Connection: close")}) as server:
        url = f"http://shop.example:{server.host.partition(':')[2]}/"
        asked: list[str] = []

        async def rebinding(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        # The name is asked for once a connection, and what was checked is what is connected to.
        assert isinstance(ask(url, rebinding), Answer)
        assert asked == ["shop.example"]
        assert ask(url, rebinding) == "refused_address"
        assert len(server.asked) == 1
        assert ask(url, rebinding) == "refused_address"


def test_of_several_addresses_the_allowed_ones_are_tried_in_turn() -> None:
    with running(address="127.0.0.2") as server:
        port = int(server.host.partition(":")[2])
        found = connect(resolver_of(["10.0.0.1", "127.0.0.1", "127.0.0.2"]), port, allow_loopback=True)
        assert found == "127.0.0.2"
    with pytest.raises(AddressRefusedError):
        connect(resolver_of(["10.0.0.1", "::1"]))
    with pytest.raises(AddressRefusedError):
        connect(resolver_of([]))


def test_sockets_of_the_machine_are_never_connected_to() -> None:
    with pytest.raises(AddressRefusedError):
        asyncio.run(CheckedBackend(allow_loopback=True).connect_unix_socket("/run/x"))


def test_spelt_out_addresses_are_checked_like_any() -> None:
    async def run(host: str) -> None:
        await CheckedBackend(allow_loopback=False).connect_tcp(host, 9, timeout=2)

    for host in ("127.0.0.1", "2130706433", "0x7f.1", "::1", "::ffff:7f00:1", "0.0.0.0", "localhost"):
        with pytest.raises((AddressRefusedError, httpcore.ConnectError)) as caught:
            asyncio.run(run(host))
        # None of them was connected to: not even a refusal by port 9 came back.
        assert caught.type.__name__ in ("AddressRefusedError", "UnknownNameError")


def ask(url: str, resolver: Resolver, tls: ssl.SSLContext | None = None) -> Answer | str:
    """The answer, or the code of the failure."""

    async def run() -> Answer:
        async with Fetcher(settings(connect_seconds=2), 1, resolver, tls) as fetcher:
            return await fetcher.get(Request(url, "product", url.split("/")[2], 0))

    try:
        return asyncio.run(run())
    except FetchError as error:
        return error.code


def test_failures_before_a_connection_have_codes_of_their_own() -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("Name or service not known")

    async def slow(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(9)
        return []

    assert ask("http://shop.example/", unknown) == "dns_failed"
    assert ask("http://shop.example/", slow) == "timeout"
    assert ask("http://shop.example/", resolver_of(["192.168.0.1"])) == "refused_address"
    assert ask("http://shop.example:9/", resolver_of(["127.0.0.1"])) == "connect_failed"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with key and certificate of shop.example, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "shop.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_verifies_the_name_that_was_asked_for_not_the_address(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    names: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with running({"/a": answer(b"hello")}, tls=serving) as server:
        port = server.host.partition(":")[2]
        found = ask(f"https://shop.example:{port}/a", resolver_of(["127.0.0.1"]), trusting)
        assert isinstance(found, Answer)
        assert found.body == b"hello"
        assert names == ["shop.example"]
        other = f"https://other.example:{port}/a"
        assert ask(other, resolver_of(["127.0.0.1"]), trusting) == "connect_failed"
        assert ask(f"https://shop.example:{port}/a", resolver_of(["127.0.0.1"])) == "connect_failed"  # nobody's word
        assert len(server.asked) == 1


def test_tls_that_turns_to_rubbish_is_a_failure_like_others(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport._ssl_protocol._transport.write(b"\x17\x03\x03\x00\x20" + b"rubbish " * 4)  # type: ignore[attr-defined]

    async def run() -> str:
        async with await asyncio.start_server(rubbish, "127.0.0.1", 0, ssl=serving) as listening:
            url = f"https://shop.example:{listening.sockets[0].getsockname()[1]}/"
            async with Fetcher(settings(), 1, resolver_of(["127.0.0.1"]), trusting) as fetcher:
                with pytest.raises(FetchError) as caught:
                    await fetcher.get(Request(url, "product", url.split("/")[2], 0))
                return caught.value.code

    assert asyncio.run(run()) == "truncated"
