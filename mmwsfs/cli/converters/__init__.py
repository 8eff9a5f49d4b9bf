"""What ``mmwsfs convert`` does, a module a form: ``run(args, parser)``."""
