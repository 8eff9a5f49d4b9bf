"""The front of ``mmwsfs publish``."""

from mmwsfs.cli.publish import main

if __name__ == '__main__':
    main()
