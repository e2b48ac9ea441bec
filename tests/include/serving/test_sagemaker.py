"""Deployments on moto's SageMaker over a real socket; it lacks UpdateEndpoint, which is added to it here."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core.responses import ActionResult
from moto.sagemaker.responses import SageMakerResponse

from include.errors import ConfigError, RegistryError
from include.serving.sagemaker import Deployment, deploy, roll_back
from tests.include.serving.conftest import World

ROLE = "arn:aws:iam::123456789012:role/ratchet"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ratchet"
BROKEN: set[str] = set()
"""Images with which an endpoint fails."""


def update_endpoint(self: Any) -> ActionResult:
    asked = json.loads(self.body)
    backend = self.sagemaker_backend
    endpoint, config = backend.endpoints[asked["EndpointName"]], backend.endpoint_configs[asked["EndpointConfigName"]]
    endpoint.endpoint_config_name = asked["EndpointConfigName"]
    model = backend._models[config.production_variants[0]["ModelName"]]
    image = model.primary_container["Image"]
    endpoint.endpoint_status = "Failed" if image in BROKEN else "InService"
    return ActionResult({"EndpointArn": endpoint.arn})


@pytest.fixture
def client(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(SageMakerResponse, "update_endpoint", update_endpoint, raising=False)
    client = boto3.client("sagemaker", endpoint_url=s3_server)
    yield client
    for one in client.list_endpoints()["Endpoints"]:
        client.delete_endpoint(EndpointName=one["EndpointName"])
    BROKEN.clear()


def no_wait(seconds: float) -> None:
    """Moto's endpoints are in service at once."""


def in_force(client: Any) -> dict[str, Any]:
    endpoint = client.describe_endpoint(EndpointName="ratchet-parcels")
    assert endpoint["EndpointStatus"] == "InService"
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    container = client.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
    return {"name": config["EndpointConfigName"], "image": container["Image"], **variant, **container}


def test_an_endpoint_is_created_then_updated_then_put_back(client: Any, world: World) -> None:
    first = deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:1", ROLE), wait=no_wait)
    found = in_force(client)
    assert found["image"] == f"{IMAGE}:1" and found["name"] == first
    assert found["Environment"] == {
        "RATCHET_SERVING_PLATFORM": "sagemaker",
        "RATCHET_SERVING_MODELS": "parcels",
        "RATCHET_STORE": world.store.url,
    }
    assert deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:1", ROLE), wait=no_wait) == first
    with pytest.raises(ConfigError, match="nothing to go back to"):
        roll_back(client, "parcels", wait=no_wait)
    second = deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:2", ROLE, "ml.c5.large", 2), wait=no_wait)
    found = in_force(client)
    assert (found["image"], found["InstanceType"], found["InitialInstanceCount"]) == (f"{IMAGE}:2", "ml.c5.large", 2)
    assert second != first and roll_back(client, "parcels", wait=no_wait) == first
    assert in_force(client)["image"] == f"{IMAGE}:1"


def test_an_image_that_does_not_come_into_service_is_taken_back(client: Any, world: World) -> None:
    deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:3", ROLE), wait=no_wait)
    BROKEN.add(f"{IMAGE}:4")
    with pytest.raises(ConfigError, match="did not come into service"):
        deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:4", ROLE), wait=no_wait)
    assert in_force(client)["image"] == f"{IMAGE}:3"


def test_a_deployment_that_is_killed_while_it_waits_can_be_put_back_all_the_same(
    client: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:5", ROLE), wait=no_wait)
    updated: list[Any] = []

    def slowly(self: Any) -> ActionResult:
        answer = update_endpoint(self)
        updated.append(self.sagemaker_backend.endpoints[json.loads(self.body)["EndpointName"]])
        updated[-1].endpoint_status = "Updating"
        return answer

    def killed(seconds: float) -> None:
        updated[-1].endpoint_status = "InService"  # SageMaker goes on
        raise KeyboardInterrupt

    monkeypatch.setattr(SageMakerResponse, "update_endpoint", slowly, raising=False)
    with pytest.raises(KeyboardInterrupt):
        deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:6", ROLE), wait=killed)
    monkeypatch.setattr(SageMakerResponse, "update_endpoint", update_endpoint)
    second = deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:6", ROLE), wait=no_wait)
    assert in_force(client)["image"] == f"{IMAGE}:6" and second != first
    assert roll_back(client, "parcels", wait=no_wait) == first


def test_a_failed_deployment_does_not_change_what_can_be_put_back(client: Any, world: World) -> None:
    first = deploy(client, world.store, "parcels", Deployment(f"{IMAGE}:7", ROLE), wait=no_wait)
    BROKEN.add(f"{IMAGE}:9")
    for wanted in (f"{IMAGE}:9", f"{IMAGE}:8", f"{IMAGE}:9"):
        if wanted not in BROKEN:
            deploy(client, world.store, "parcels", Deployment(wanted, ROLE), wait=no_wait)
            continue
        with pytest.raises(ConfigError, match="did not come into service"):
            deploy(client, world.store, "parcels", Deployment(wanted, ROLE), wait=no_wait)
        if in_force(client)["name"] == first:
            with pytest.raises(ConfigError, match="nothing to go back to"):
                roll_back(client, "parcels", wait=no_wait)
    assert roll_back(client, "parcels", wait=no_wait) == first


def test_a_model_without_a_champion_is_not_deployed(client: Any, world: World) -> None:
    for version in reversed(world.champions):
        world.withdraw(version)
    with pytest.raises(RegistryError, match="no champion"):
        deploy(client, world.store, "parcels", Deployment(IMAGE, ROLE), wait=no_wait)
    with pytest.raises(ClientError):
        client.describe_endpoint(EndpointName="ratchet-parcels")


def test_without_an_endpoint_there_is_nothing_to_put_back(client: Any) -> None:
    with pytest.raises(ConfigError, match="no such endpoint"):
        roll_back(client, "parcels", wait=no_wait)
