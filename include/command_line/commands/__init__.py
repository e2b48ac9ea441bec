"""Commands: the arguments and options of `python -m include`, a module a subject.

Not here: what a command does or prints (the modules of `include.command_line`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""
