"""The commands, by the folder they lie in: a module here is a command, a package a group of them.

A name becomes a command's with a dash for each underscore; what begins with an underscore is none. A
module has

* ``HELP``: one line for the list of commands;
* ``add(parser)``: gives the parser its arguments, and a description and examples where they help;
* ``run(args) -> int``: does the work and returns an :class:`~connector.cli.exits.Exit`.

A package has ``HELP`` and ``EXAMPLES``, and modules of this kind. Nothing heavy is imported at the top
level of any of them, since ``--help`` imports them all; ``add`` and ``run`` import what they need.
"""
