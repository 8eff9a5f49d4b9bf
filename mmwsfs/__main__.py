"""``python -m mmwsfs``: the same as the command ``mmwsfs``."""

from mmwsfs.cli.main import main

if __name__ == '__main__':
    main()
