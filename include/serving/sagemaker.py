"""A model behind an endpoint of Amazon SageMaker: created, updated to another image or size, and put back.

The endpoint's containers are this server: they follow the ledger by themselves, so a new champion needs no deployment.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from include.errors import ConfigError, RegistryError
from include.registry.ledger import Ledger
from include.registry.naming.renamed import stored_name
from include.serving.platforms import PLATFORM
from include.storage.content import digest_json
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

BEFORE = "ratchet:before"
"""The tag of an endpoint that names the configuration that it ran on before."""
_POLL_SECONDS = 15.0
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Deployment:
    """What an endpoint runs on."""

    image: str
    """The image's address in ECR; its entry point is ``python -m include``, and SageMaker adds ``serve``."""
    role: str
    """The ARN of the role that the containers have: it may read the store, and write the request log."""
    instance_type: str = "ml.m5.large"
    instances: int = 1
    endpoint: str | None = None
    """The endpoint's name; ``ratchet-<model>`` if left out."""


def deploy(
    client: Any,
    store: ObjectStore,
    model: str,
    wanted: Deployment,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> str:
    """Create an endpoint for a model, or update it to what is wanted; repeated, nothing is done.

    If the endpoint does not come into service with it, what it ran on before is put back.

    Parameters
    ----------
    client : boto3 client for SageMaker
    wait : callable
        Called with seconds between two looks at the endpoint.

    Returns
    -------
    str
        The endpoint configuration in force.

    Raises
    ------
    RegistryError
        When the model has no champion: the endpoint would never be in service.
    ConfigError
        When SageMaker refuses, or the endpoint does not come into service.
    """
    if Ledger(store, stored_name(store, model)).timeline().champion is None:
        raise RegistryError(
            f"{model} has no champion to deploy.", expected="a promoted version", remedy=f"run retrain_{model} first"
        )
    endpoint = wanted.endpoint or _name("ratchet", model)
    container = {
        "Image": wanted.image,
        "Environment": {PLATFORM: "sagemaker", "RATCHET_SERVING_MODELS": model, "RATCHET_STORE": store.url},
    }
    facts = [container, wanted.role, wanted.instance_type, wanted.instances]
    name = _name("ratchet", model, digest_json(facts)[:10])
    before = _config_of(client, endpoint)
    if before == name:
        log.info("%s runs on %s already", endpoint, name)
        return name
    _once(client.create_model, ModelName=name, ExecutionRoleArn=wanted.role, PrimaryContainer=container)
    variant = {
        "VariantName": "champion",
        "ModelName": name,
        "InstanceType": wanted.instance_type,
        "InitialInstanceCount": wanted.instances,
    }
    _once(client.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[variant])
    if before is None:
        _asked(client.create_endpoint, EndpointName=endpoint, EndpointConfigName=name)
        _await(client, endpoint, name, wait)
        return name
    arn = _arn(client, endpoint)
    earlier = _before(client, arn)
    # Said before it is done: who waits for the endpoint may be killed, and SageMaker goes on.
    _say_before(client, arn, before)
    try:
        _change(client, endpoint, name, wait)
    except ConfigError:
        if _config_of(client, endpoint) != before:
            _change(client, endpoint, before, wait)
        if earlier is not None:
            _say_before(client, arn, earlier)
        raise
    return name


def roll_back(
    client: Any, model: str, endpoint: str | None = None, *, wait: Callable[[float], None] = time.sleep
) -> str:
    """Put an endpoint back on what it ran on before, and return that configuration.

    Parameters
    ----------
    client : Any
        A boto3 client of SageMaker.
    model : str
        Name of the model.
    endpoint : str, optional
        Name of the endpoint; made from the model's name without it.
    wait : callable
        Waits for a number of seconds.

    Raises
    ------
    ConfigError
        When there is no endpoint, or nothing before what it runs on.
    """
    endpoint = endpoint or _name("ratchet", model)
    now = _config_of(client, endpoint)
    if now is None:
        raise ConfigError("There is no such endpoint.", found=endpoint)
    arn = _arn(client, endpoint)
    before = _before(client, arn)
    if before is None or before == now:
        raise ConfigError("There is nothing to go back to.", found=f"{now}, and no other that {endpoint} ran on")
    _say_before(client, arn, now)
    _change(client, endpoint, before, wait)
    return before


def _before(client: Any, arn: str) -> str | None:
    """Return the configuration that an endpoint's tag names as the one before."""
    tags = {tag["Key"]: tag["Value"] for tag in _asked(client.list_tags, ResourceArn=arn)["Tags"]}
    return tags.get(BEFORE)


def _say_before(client: Any, arn: str, config: str) -> None:
    _asked(client.add_tags, ResourceArn=arn, Tags=[{"Key": BEFORE, "Value": config}])


def _change(client: Any, endpoint: str, config: str, wait: Callable[[float], None]) -> None:
    _asked(client.update_endpoint, EndpointName=endpoint, EndpointConfigName=config)
    _await(client, endpoint, config, wait)


def _arn(client: Any, endpoint: str) -> str:
    return str(_asked(client.describe_endpoint, EndpointName=endpoint)["EndpointArn"])


def _await(client: Any, endpoint: str, config: str, wait: Callable[[float], None]) -> None:
    waited = 0.0
    while True:
        facts = _asked(client.describe_endpoint, EndpointName=endpoint)
        status = facts["EndpointStatus"]
        if status == "InService" and facts["EndpointConfigName"] == config:
            log.info("%s is in service on %s", endpoint, config)
            return
        if status in ("InService", "Failed", "OutOfService", "UpdateRollbackFailed") or waited > _PATIENCE_SECONDS:
            raise ConfigError(
                "The endpoint did not come into service.",
                expected=f"InService on {config}",
                found=f"{status} on {facts['EndpointConfigName']}: {facts.get('FailureReason', 'no reason is given')}",
                where=endpoint,
                remedy="look at the containers' log in CloudWatch",
            )
        wait(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _config_of(client: Any, endpoint: str) -> str | None:
    """Return the configuration that an endpoint runs on, None if there is no endpoint."""
    from botocore.exceptions import ClientError

    try:
        return str(client.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"])
    except ClientError as error:
        if "Could not find" in str(error) or "not exist" in str(error):
            return None
        raise _refused(error) from error


def _once(create: Callable[..., Any], **arguments: Any) -> None:
    """Create what is named by its content, unless it is there already."""
    from botocore.exceptions import ClientError

    try:
        create(**arguments)
    except ClientError as error:
        if "already exist" not in str(error):
            raise _refused(error) from error


def _asked(operation: Callable[..., Any], **arguments: Any) -> Any:
    from botocore.exceptions import ClientError

    try:
        return operation(**arguments)
    except ClientError as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ConfigError:
    return ConfigError("SageMaker refused.", found=error, remedy="look at the role, the names and the quotas")


def _name(*parts: str) -> str:
    """Return a name that SageMaker takes: letters, digits and hyphens, 63 at most."""
    text = re.sub(r"[^a-zA-Z0-9]+", "-", "-".join(parts[:-1] if len(parts) > 2 else parts))
    return f"{text[:52]}-{parts[-1]}" if len(parts) > 2 else text[:63].rstrip("-")
