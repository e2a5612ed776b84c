"""The rules of a NAT and of a firewall in the words of nft(8). See this package's README, "NAT and firewalls".

Packets fill the sets of a NAT themselves, so that no process is in their way:

    mappings    protocol, address and port inside -> address and port outside
    owners      protocol and port outside -> address and port inside, the other way round
    pairs       both in one, to tell whether a port outside is another socket's
    contacted   protocol and port outside, with the address (and port) of what was sent to from there
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.nft import Rules
from testbed.nat import ADDRESS, DRAWN_PORTS, INDEPENDENT, KINDS, SYMMETRIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.agent.messages import NewFirewall, NewForward, NewNat

PORTS = f"{DRAWN_PORTS.start}-{DRAWN_PORTS.stop - 1}"

_SECOND_NS = 1_000_000_000
_TCP_TIMEOUT = "7440s"
"""How long a mapping of TCP lasts without packets: 2 hours and 4 minutes (RFC 5382, REQ-5)."""

_MOST = 65536
_WITH_PORTS = "meta l4proto { tcp, udp }"
_ICMP_ERRORS = {
    "ip": "icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    "ip6": "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
}


def translation(nat: NewNat, table: str, inside: Sequence[str], outside: str, address: str) -> list[str]:
    """Return the rules of a NAT towards one network outside; its sets are empty.

    Args:
        nat: what it does.
        table: the name of the rules' table.
        inside: names of interfaces.
        outside: name of the interface.
        address: of the router there.
    """
    rules, seconds = Rules(table), nat.timeout_ns // _SECOND_NS
    _time_out(rules, [*inside, outside], seconds)
    _keep_from_router(rules, address)
    within, out = f"iifname {_one_of(inside)}", f"oifname {outside}"
    rules.chain("gate", "forward", "filter")
    rules.chain(
        "pass",
        "forward",
        "filter",
        f"{within} {out} ct state invalid drop",  # it would leave with its address inside
        f"iifname {outside} oifname {_one_of(inside)} ct state {{ new, invalid }} ct status & dnat == 0 drop",
    )
    forwarded = [f"iifname {outside} {_forwarding(each, address)}" for each in nat.forward]
    if nat.hairpin:
        forwarded += [f"{within} {_forwarding(each, address)}" for each in nat.forward]
    rules.chain("forwarded", "prerouting", "dstnat - 1", *forwarded, kind="nat")
    new_port = f"{_WITH_PORTS} snat to {address}:{PORTS} fully-random"
    other = f"{within} {out} snat to {address}"
    if nat.kind == SYMMETRIC:  # a port for each remote endpoint, and only what it sends gets in: as the kernel does it
        rules.chain("outwards", "postrouting", "srcnat", f"{within} {out} {new_port}", other, kind="nat")
        return rules.lines
    rules.add(
        *(f"{name} {{ type {kind}; flags timeout; timeout {seconds}s; size {_MOST}; }}" for name, kind in _sets(nat))
    )
    to_owner = f"{_WITH_PORTS} dnat ip to meta l4proto . th dport map @owners"
    known = f"{_WITH_PORTS} snat ip to meta l4proto . ip saddr . th sport map @mappings"
    inwards = [f"iifname {outside} ip daddr {address} {_let_in(nat.kind)} {to_owner}"]
    ways = [f"{within} {out}"]
    if nat.hairpin:
        inwards.append(f"{within} ip daddr {address} {to_owner}")
        ways.append(f"{within} oifname {_one_of(inside)} {_hairpin(address)}")
    rules.chain("inwards", "prerouting", "dstnat", *inwards, kind="nat")
    outwards = [f"{way} {rule}" for way in ways for rule in (known, new_port)]
    rules.chain("outwards", "postrouting", "srcnat", *outwards, other, kind="nat")
    rules.chain("learn", "postrouting", "srcnat + 10", *(f"{way} jump remember" for way in ways))
    rules.add("chain remember {", *_remember("tcp", _TCP_TIMEOUT, nat, address))
    rules.add(*_remember("udp", f"{seconds}s", nat, address), "}")
    return rules.lines


def _forwarding(forward: NewForward, address: str) -> str:
    """Return the rule of a static mapping."""
    inner = f"{forward.address}:{forward.node_port}"
    return f"ip daddr {address} {forward.protocol} dport {forward.port} dnat ip to {inner}"


def _time_out(rules: Rules, interfaces: Sequence[str], seconds: int) -> None:
    """Make the kernel forget connections of UDP as soon as their mapping may be forgotten."""
    policy = f"unreplied : {seconds}, replied : {seconds}"
    rules.add(f"ct timeout brief {{ protocol udp; policy = {{ {policy} }}; }}")
    brief = f"iifname {_one_of(interfaces)} meta l4proto udp ct timeout set brief"
    rules.chain("timeouts", "prerouting", "mangle", brief)


def _keep_from_router(rules: Rules, address: str) -> None:
    """Drop packets that are for no mapping.

    If the router answered them, or only noticed them, the kernel would take them for a connection of the router's own,
    and give the packets of a node that punches a hole another port.
    """
    new = f"ip daddr {address} {_WITH_PORTS} th dport {PORTS} ct state new"
    rules.chain("own", "input", "filter", f"{new} socket wildcard {{ 0, 1 }} accept", f"{new} drop")


def _sets(nat: NewNat) -> Sequence[tuple[str, str]]:
    """Return the names of the sets of a NAT and what is in them; none if the kernel's own table of connections does."""
    if nat.kind == SYMMETRIC:
        return ()
    inner, outer = "ipv4_addr . inet_service", "inet_proto . inet_service"
    sets = {
        "map mappings": f"inet_proto . {inner} : {inner}",
        "map owners": f"{outer} : {inner}",
        "set pairs": f"{outer} . {inner}",
    }
    if KINDS[nat.kind].filtering != INDEPENDENT:
        sets["set contacted"] = f"{outer} . {'ipv4_addr' if _by_address(nat.kind) else inner}"
    return tuple(sets.items())


def closing(table: str) -> list[str]:
    """Return the rules that make a router forward nothing."""
    return [f"add rule ip {table} gate drop"]


def opening(nat: NewNat, table: str) -> list[str]:
    """Return the rules that make a NAT forget its mappings, and forward again."""
    emptied = [f"flush {sort} ip {table} {name}" for sort, name in (one.split() for one, _ in _sets(nat))]
    return [*emptied, f"flush chain ip {table} gate"]


def _by_address(kind: str) -> bool:
    return KINDS[kind].filtering == ADDRESS


def _let_in(kind: str) -> str:
    """Return which packets from outside are let in."""
    if KINDS[kind].filtering == INDEPENDENT:
        return ""
    sender = "ip saddr" if _by_address(kind) else "ip saddr . th sport"
    return f"meta l4proto . th dport . {sender} @contacted"


def _hairpin(address: str) -> str:
    """Return which packets between nodes inside were sent to the address outside."""
    return f"ct status dnat ct original ip daddr {address}"


def _remember(protocol: str, timeout: str, nat: NewNat, address: str) -> Iterator[str]:
    """Yield the rules that keep the sets, for a packet that leaves with its address outside.

    Its connection is `original` if the node inside opened it, else the packet is a `reply`.
    """
    port = f"meta l4proto . {protocol} sport"
    is_filtered = KINDS[nat.kind].filtering != INDEPENDENT
    for way in ("original", "reply"):
        packets, owner = f"meta l4proto {protocol} ct direction {way}", f"ct {way} ip saddr . ct {way} proto-src"
        if way == "original":  # the kernel has drawn a port that is another's, as that one sends elsewhere: try again
            yield f"{packets} {port} @owners {port} . {owner} != @pairs drop"
        # In this order: the pair must not be forgotten before the owner.
        yield f"{packets} update @owners {{ {port} timeout {timeout} : {owner} }}"
        yield f"{packets} update @pairs {{ {port} . {owner} timeout {timeout} }}"
        outer = f"ip saddr . {protocol} sport"
        yield f"{packets} update @mappings {{ meta l4proto . {owner} timeout {timeout} : {outer} }}"
        if is_filtered:
            remote = f"ct {way} ip daddr" + ("" if _by_address(nat.kind) else f" . ct {way} proto-dst")
            yield f"{packets} update @contacted {{ {port} . {remote} timeout {timeout} }}"
    if nat.hairpin and is_filtered:  # only now it is known where the packet seems to come from
        packets = f"meta l4proto {protocol} ct direction original {_hairpin(address)}"
        sender = "ip saddr" if _by_address(nat.kind) else f"ip saddr . {protocol} sport"
        yield f"{packets} meta l4proto . ct original proto-dst . {sender} != @contacted drop"


def protection(
    firewall: NewFirewall,
    table: tuple[str, str],
    inside: Sequence[str],
    outside: Sequence[str],
    forwards: Sequence[NewForward] = (),
) -> list[str]:
    """Return the rules of a firewall between interfaces inside and outside.

    Args:
        firewall: what it does.
        table: family (`ip` or `ip6`) and name of the rules' table.
        inside: names of interfaces.
        outside: names of interfaces.
        forwards: the static mappings of the NAT beside it, which it lets in.
    """
    family, name = table
    rules, errors = Rules(name, family), []
    if firewall.icmp == "drop":
        errors = [f"{_ICMP_ERRORS[family]} drop"]
        rules.chain("own_errors", "output", "filter", *errors)
    entering = f"iifname {_one_of(outside)} oifname {_one_of(inside)}"
    refused = [f"{entering} drop"]
    if firewall.policy == "reject":
        refused = [f"{entering} meta l4proto tcp reject with tcp reset", f"{entering} reject"]
    opened = [
        f"{entering} ct status dnat ip daddr {each.address} {each.protocol} dport {each.node_port} accept"
        for each in forwards
    ]
    rules.chain("pass", "forward", "filter", *errors, "ct state established,related accept", *opened, *refused)
    return rules.lines


def _one_of(interfaces: Sequence[str]) -> str:
    return f"{{ {', '.join(interfaces)} }}"
