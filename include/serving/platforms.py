"""Adapters to managed platforms, detected by their environment: SageMaker, Vertex AI and Azure Machine Learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.errors import ConfigError, RequestError, did_you_mean

PLATFORM = "RATCHET_SERVING_PLATFORM"
KNOWN = ("sagemaker", "vertex", "azureml")
_MODEL_HEADERS = ("x-ratchet-model", "x-amzn-sagemaker-custom-attributes")


@dataclass(frozen=True)
class Platform:
    """Where a platform asks for health and predictions.

    Attributes
    ----------
    port : int or None
        The port that the platform sends to; None where the deployment chooses.
    anonymous : tuple of str
        Paths that the platform's own probe asks without a token.
    fronted : bool
        Whether the platform itself asks who calls and is the only one that reaches the container, so that the server
        need not. A token or JWT setting still applies, where there is one.
    vertex : bool
        Whether answers hold predictions and nothing that the platform would refuse.
    """

    name: str
    port: int | None = None
    health: tuple[str, ...] = ()
    predict: tuple[str, ...] = ()
    anonymous: tuple[str, ...] = ()
    fronted: bool = False
    vertex: bool = False

    def model_of(self, headers: Mapping[str, str], models: list[str]) -> str:
        """Return the model that a request is for: the only one, or the one that a header names."""
        for header in _MODEL_HEADERS:
            if name := headers.get(header):
                return name.removeprefix("model=")
        if len(models) == 1:
            return models[0]
        raise RequestError(
            "The request does not say which model it is for.",
            status=404,
            expected="the header X-Ratchet-Model, or SageMaker's custom attributes, with the model's name",
        )

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return a JSON answer as the platform wants it."""
        if not self.vertex:
            return said
        return {
            "predictions": said["predictions"],
            "deployedModelId": said["version"],
            "model": said["model"],
            "modelDisplayName": said["model"],
        }


def platform_of(environment: Mapping[str, str]) -> Platform:
    """Return the platform that ``RATCHET_SERVING_PLATFORM`` names; a plain one, without routes of its own, if it names none.

    It is named and never guessed: with a platform, everybody who reaches the container is answered.

    Raises
    ------
    ConfigError
        When it names none that is known.
    """
    name = environment.get(PLATFORM, "")
    if not name:
        return Platform("none")
    if name == "vertex":
        health = environment.get("AIP_HEALTH_ROUTE", "/health")
        predict = environment.get("AIP_PREDICT_ROUTE", "/predict")
        port = _port(environment.get("AIP_HTTP_PORT", "8080"), "AIP_HTTP_PORT")
        return Platform(name, port, (health,), (predict,), (health,), fronted=True, vertex=True)
    if name == "sagemaker":
        port = _port(environment.get("SAGEMAKER_BIND_TO_PORT", "8080"), "SAGEMAKER_BIND_TO_PORT")
        return Platform(name, port, ("/ping",), ("/invocations",), ("/ping",), fronted=True)
    if name == "azureml":
        probes = ("/", "/health/live", "/health/ready")
        return Platform(name, 5001, probes, ("/score",), probes, fronted=True)
    raise ConfigError(
        "The platform is not known.",
        expected=", ".join(KNOWN),
        found=name,
        where=f"environment variable {PLATFORM}",
        remedy=did_you_mean(name, KNOWN),
    )


def _port(text: str, name: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(
            "The platform's port is not understood.",
            expected="a number from 1 to 65535",
            found=text,
            where=f"environment variable {name}",
        )
    return int(text)
