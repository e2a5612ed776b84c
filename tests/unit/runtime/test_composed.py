"""What compose files will become, from the merged content that Docker Compose prints."""

import pytest

from testbed.plan import resolve
from testbed.present import Present
from testbed.runtime.docker.composed import expected, fingerprint
from testbed.services import ComposeProject
from testbed.topology import TopologyError, discovered, loads

SHOP = ComposeProject(name="shop", files=("/there/docker-compose.yml",))


def services(**given):
    return {"services": given}


def there(config, project=SHOP, separator="_"):
    return expected(config, project, separator, Present())


def test_services_become_containers_on_the_projects_default_network():
    found = there(services(web={"image": "nginx"}, db={"scale": 2}))
    assert list(found.containers) == ["shop_web_1", "shop_db_1", "shop_db_2"]
    assert [(each.service, each.number) for each in found.of_project("shop")] == [("db", 1), ("db", 2), ("web", 1)]
    assert {each.attachments[0].network for each in found.containers.values()} == {"shop_default"}
    assert len({each.attachments[0].address for each in found.containers.values()}) == 3


def test_networks_have_the_subnets_of_the_files_and_others_places_beside_them():
    config = services(web={"networks": {"front": None, "back": None}}) | {
        "networks": {
            "front": {"ipam": {"config": [{"subnet": "198.18.0.0/16"}]}, "internal": True},
            "back": {"name": "rear", "driver_opts": {"com.docker.network.driver.mtu": "1400"}},
        }
    }
    front, back = (there(config).networks[name] for name in ("shop_front", "rear"))
    assert (front.subnet, front.internal, front.word) == ("198.18.0.0/16", True, "front")
    assert (back.mtu, back.word) == (1400, "back")
    assert not back.subnet.startswith("198.18.")


@pytest.mark.parametrize(
    ("profiles", "variable", "names"),
    [((), "", {"shop_web_1"}), (("debug",), "", {"shop_web_1", "shop_d_1"}), ((), "debug", {"shop_web_1", "shop_d_1"})],
)
def test_services_are_left_out_by_their_profiles(monkeypatch, profiles, variable, names):
    monkeypatch.setenv("COMPOSE_PROFILES", variable)
    project = ComposeProject(name="shop", files=SHOP.files, profiles=profiles)
    assert there(services(web={}, d={"profiles": ["debug"]}), project).containers.keys() == names


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"network_mode": "host"}, "network_mode: host"),
        ({"network_mode": "none"}, "is on no network of the project"),
        ({"networks": ["swarm"]}, "is on no bridge network"),
    ],
)
def test_what_has_no_port_says_why(keys, said):
    config = services(web=keys) | {"networks": {"swarm": {"driver": "overlay"}}}
    assert said in there(config).containers["shop_web_1"].problem


def test_a_service_that_others_wait_for_until_it_has_ended_is_no_node():
    config = services(web={"depends_on": {"migrate": {"condition": "service_completed_successfully"}}}, migrate={})
    assert "is a job" in there(config).containers["shop_migrate_1"].problem
    assert not there(config).containers["shop_web_1"].problem


def test_names_of_containers_are_those_of_the_program():
    config = services(web={}, db={"container_name": "base"}, side={"network_mode": "service:db"})
    found = there(config, separator="-")
    assert found.containers.keys() == {"shop-web-1", "base", "shop-side-1"}
    assert found.containers["shop-side-1"].namespace == "base"
    assert found.containers["shop-side-1"].attachments == found.containers["base"].attachments


def test_the_fingerprint_is_of_the_services_and_not_of_where_they_are():
    here = services(web={"volumes": ["/here/site:/srv"]})
    elsewhere = services(web={"volumes": ["/there/site:/srv"]})
    assert fingerprint(elsewhere, SHOP) == fingerprint(here, ComposeProject(name="x", files=("/here/c.yml",)))
    assert fingerprint(services(web={"image": "other"}), SHOP) != fingerprint(services(web={}), SHOP)


TOPOLOGY = "name: x\ncompose: {file: docker-compose.yml}\nlinks:\n- {between: [web, %s], delay: 1ms}\n"


def test_an_unknown_service_is_an_error_at_its_line_with_the_nearest_one():
    with pytest.raises(TopologyError) as caught:
        discovered(loads(TOPOLOGY % "dbb", "x.yml"), there(services(web={}, db={})))
    (problem,) = caught.value.problems
    assert (problem.line, problem.code) == (4, "unknown-node")
    assert 'did you mean "db"?' in (problem.hint or "")


def test_links_of_a_scaled_service_are_of_each_container():
    found = discovered(loads(TOPOLOGY % "db", "x.yml"), there(services(web={}, db={"deploy": {"replicas": 3}})))
    assert len(resolve(found).links) == 6


@pytest.mark.parametrize(
    ("compose", "said"),
    [
        ("{}", "names no project"),
        ("{project: shop, profiles: [x]}", "gives what only compose files have"),
        ("{project: shop, env_file: x}", "gives what only compose files have"),
        ("{file: [], profiles: [x]}", "names no project"),
        ("{file: a.yml, projet: x}", "projet"),
    ],
)
def test_contradictions_are_errors(compose, said):
    with pytest.raises(TopologyError, match=said):
        loads(f"name: x\ncompose: {compose}\n", "x.yml")
