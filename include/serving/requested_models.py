"""Find the model and the version of a request among those that its caller may use."""

from __future__ import annotations

from starlette.requests import Request

from include.errors import RequestError, did_you_mean
from include.serving.answers import Chosen
from include.serving.live_versions import ALIAS, LiveModel, LiveModels


def visible(live: LiveModels, request: Request) -> list[str]:
    """Return the names of the models that the caller may ask."""
    return [name for name in live.models if request.state.caller.may(name)]


def requested_model(live: LiveModels, request: Request, name: str | None = None) -> LiveModel:
    """Return the model of a name, or the one that the path names; raises `RequestError` if the caller may not use it."""
    wanted = request.path_params["model"] if name is None else name
    names = visible(live, request)
    if wanted not in names:
        raise RequestError(
            "There is no such model.",
            status=404,
            expected=", ".join(names) or "a model that this caller may ask",
            remedy=did_you_mean(wanted[:64], names),
        )
    request.state.model = wanted
    return live.models[wanted]


def champion_of(model: LiveModel) -> Chosen:
    """Return the champion of a model; raises `RequestError` while there is none in memory."""
    served = model.champion
    if served is None or not model.segments.known:
        raise RequestError(
            f"{model.name} does not answer: {(model.problem or 'it is being loaded').partition(':')[0]}.",
            status=503,
            retry_after=2,
        )
    return Chosen(model, served, "champion")


def requested_version(model: LiveModel, request: Request) -> Chosen:
    """Return the version that the path names, or the champion, as what it is now; raises `RequestError` if it is not in memory."""
    champion = champion_of(model)
    wanted = request.path_params.get("version")
    if wanted is None or wanted == champion.served.version:
        return champion
    beside, challenger = model.beside, model.declared.serving.challenger
    named = None if challenger is None else f"{ALIAS}{wanted}" == challenger.version
    if beside is not None and (named or wanted == beside.version):
        return Chosen(model, beside, "challenger")
    known = [champion.served.version, *([beside.version] if beside else [])]
    raise RequestError("That version is not in memory.", status=404, expected=" or ".join(known))
