"""Supply chain: what a deployment is made of: its images by digest, and a bill of what is installed.

Not here: the libraries of a version (`include.audit.sbom`), and the hashes of pinned requirements, which `make requirements` makes.
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
