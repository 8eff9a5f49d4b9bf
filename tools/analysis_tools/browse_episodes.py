"""Draw the episodes of a config: a front of ``mmwsfs browse``."""

from mmwsfs.cli.browse import main

if __name__ == '__main__':
    main()
