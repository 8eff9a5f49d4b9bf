"""Train on painted toys and test: a front of ``mmwsfs demo``."""

from mmwsfs.cli.demo import main

if __name__ == '__main__':
    main()
