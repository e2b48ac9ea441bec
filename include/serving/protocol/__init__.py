"""Protocol: bodies, row schemas, the Open Inference Protocol and the OpenAPI document.

Not here: routes and access (`include.serving.app`, `include.serving.access`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
