"""What a person calls from a shell: the command ``mmwsfs``, one module a subcommand.

``mmwsfs.cli.NAME`` has ``build_parser()`` and ``main(argv)``. At its top it imports
what takes no time; what needs torch is imported where the work begins, so that
``--help`` and a wrong option answer at once.
"""
