"""Supply chain: digests of the images of a deployment, and a bill of materials of what is installed.

Not here: the libraries of a version (`include.audit.sbom`), and the hashes of pinned requirements, which `make requirements` makes.
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
