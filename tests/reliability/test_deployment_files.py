"""The files in deployments/ as they are read: images, secrets, pools, and the events that automations wait for."""

from __future__ import annotations

import re

import yaml

from tests.reliability.servers import ROOT

DEPLOYMENTS = ROOT / "deployments"
COMPOSE = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text("utf-8"))
AUTOMATIONS = yaml.safe_load((DEPLOYMENTS / "automations.yaml").read_text("utf-8"))["automations"]


def test_compose_starts_what_the_tests_with_servers_start() -> None:
    services = COMPOSE["services"]
    assert services["server"]["command"][:3] == ["prefect", "server", "start"]
    assert services["worker"]["command"][:5] == ["prefect", "worker", "start", "--pool", "lab"]
    pools = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text("utf-8"))["deployments"]
    assert {deployment["work_pool"]["name"] for deployment in pools} == {"lab"}
    assert "work-pool create --type process --overwrite lab" in services["deploy"]["command"][2]
    assert services["server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith(
        "postgresql+asyncpg"
    )


def test_compose_has_no_secret_of_its_own_and_names_each_that_is_missing() -> None:
    text = (DEPLOYMENTS / "compose.yaml").read_text("utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert asked == set(
        re.findall(r"^([A-Z_]+)=", (DEPLOYMENTS / ".env.example").read_text("utf-8"), re.MULTILINE)
    )
    assert all(f"${{{name}:?" in text for name in asked)
    assert not re.findall(r"\$\{[A-Z_]+(?!:\?|[A-Z_])", text)
    secrets = [
        (name, value)
        for service in COMPOSE["services"].values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|KEY|AUTH|CONNECTION_URL", name)
    ]
    assert len(secrets) > 3
    assert [name for name, value in secrets if "${" not in value] == []


def test_compose_pins_its_images_and_says_when_a_service_is_healthy() -> None:
    for name, service in COMPOSE["services"].items():
        assert re.search(r":\d+\.\d+", service["image"]), name
        if service["restart"] != "no":
            assert service["healthcheck"]["test"], name
    docker = (DEPLOYMENTS / "Dockerfile").read_text("utf-8")
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+", docker, re.MULTILINE)
    assert re.search(r"^USER (?!root|0)", docker, re.MULTILINE)
    assert "--require-hashes" in docker
    copied = [line.split()[:-1] for line in re.findall(r"^COPY (.+)$", docker, re.MULTILINE)]
    assert copied
    assert [source for sources in copied for source in sources if not (ROOT / source).exists()] == []


def test_every_event_of_an_automation_is_one_that_is_sent() -> None:
    from flows import events as sent

    ours = {value for name, value in vars(sent).items() if name.isupper() and isinstance(value, str)}
    expected = {
        event for said in AUTOMATIONS for event in said["trigger"]["expect"] if event.startswith("neuro")
    }
    assert expected == {sent.QUARANTINE_HIGH, sent.SILENT}
    assert expected <= ours
