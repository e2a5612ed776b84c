"""Names that fail: messages of DNS, read and written, compared with dnspython; and names hidden from /etc/hosts."""

import os

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from testbed.agent.faults.names import dns_messages
from testbed.agent.faults.names.hosts_file import HostsFile

HOSTS = """\
127.0.0.1 localhost
::1 localhost ip6-localhost
198.18.0.2 client
198.18.0.3 server db  # server here
2001:2::3\tserver
# 198.18.0.3 server
198.18.0.4 other
"""


@pytest.mark.parametrize("name", ["db", "API.Example.org", "a" * 63 + ".test"])
def test_a_question_is_read_as_it_was_asked(name):
    query = dns.message.make_query(name, "AAAA")
    question = dns_messages.read(query.to_wire())
    assert question
    assert (question.number, question.name, question.kind) == (query.id, name.lower(), dns_messages.AAAA)


def test_answers_are_what_another_library_understands():
    query = dns.message.make_query("Db.test", "A")
    question = dns_messages.read(query.to_wire())
    assert question
    given = dns_messages.answer(question, dns_messages.NOERROR, ["198.18.0.9", "2001:2::9", "198.18.0.8"])
    answer = dns.message.from_wire(given)
    assert query.is_response(answer)
    assert {each.address for each in answer.answer[0]} == {"198.18.0.9", "198.18.0.8"}
    assert answer.answer[0].ttl == 0
    for code in (dns_messages.NXDOMAIN, dns_messages.SERVFAIL):
        failed = dns.message.from_wire(dns_messages.answer(question, code))
        assert query.is_response(failed)
        assert (failed.rcode(), failed.answer) == (dns.rcode.Rcode(code), [])


def test_what_is_no_question_is_not_read():
    query = dns.message.make_query("db", "A").to_wire()
    answer = dns.message.make_response(dns.message.from_wire(query)).to_wire()
    for wrong in (b"", query[:11], query[:-20], answer, query[:12] + b"\xc0\x0c" + query[14:], b"\xff" * 40):
        assert dns_messages.read(wrong) is None


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text(HOSTS)
    return path


def hiding(path):
    return HostsFile(lambda flags: os.open(path, flags), "client")


def test_hidden_names_are_gone_from_the_same_file_and_come_back(hosts):
    file, inode = hiding(hosts), hosts.stat().st_ino
    file.hide({"server"})
    lines = hosts.read_text().splitlines()
    assert lines[3].split() == ["198.18.0.3", "db", "#", "server", "here"]
    assert lines[4].startswith("#")
    assert [*lines[:3], *lines[5:]] == [line for n, line in enumerate(HOSTS.splitlines()) if n not in (3, 4)]
    assert file.addresses("server") == ["198.18.0.3", "2001:2::3"]
    file.hide(())
    assert (hosts.read_text(), hosts.stat().st_ino) == (HOSTS, inode)


def test_all_names_are_those_of_others(hosts):
    hiding(hosts).hide({"*"})
    shown = [line for line in hosts.read_text().splitlines() if not line.startswith("#")]
    assert shown == ["127.0.0.1 localhost", "::1 localhost ip6-localhost", "198.18.0.2 client"]


def test_a_file_that_somebody_else_has_written_is_left_alone(hosts):
    file = hiding(hosts)
    file.hide({"server"})
    hosts.write_text("198.18.0.7 new\n")
    file.hide(())
    assert hosts.read_text() == "198.18.0.7 new\n"
