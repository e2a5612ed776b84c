"""The links of a node that joins others like it: copies of those that they have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testbed.agent.link import ImpairedLink
    from testbed.matching import LinkKey


def copies(
    links: Mapping[LinkKey, ImpairedLink], like: str, name: str, network: str, siblings: Collection[str]
) -> dict[LinkKey, ImpairedLink]:
    """Return the links that a further node has on a network, because all nodes like it have them there.

    They are not made yet. Their seeds derive from those of the links that they are copies of.

    Args:
        links: of the lab, none of which is among those returned.
        like: one of the nodes like it, whose links are copied as they are now.
        name: the further node.
        network: where all are.
        siblings: the others that are alike. What one of them has with `like`, `like` has with the further node.
    """
    found: dict[LinkKey, ImpairedLink] = {}

    def add(link: ImpairedLink, key: LinkKey) -> None:
        if key not in links and key not in found:
            found[key] = replace(link, key=key, seed=derive(link.seed, str(key)), device=None)

    for key, link in links.items():
        if key.network != network or like not in key.nodes or key.is_access:
            continue
        others = [each for each in siblings if each not in (key.source, key.destination)]
        if all(key.with_end(like, each) in links for each in others):
            add(link, key.with_end(like, name))
        if key.source in siblings:
            add(link, key._replace(source=name, destination=like))
        if key.destination in siblings:
            add(link, key._replace(source=like, destination=name))
    return found
