"""A released CST checkpoint for mmwsfs: a front of ``mmwsfs convert cst``."""

import sys

from mmwsfs.cli.convert import main

if __name__ == '__main__':
    main(['cst', *sys.argv[1:]])
