"""The painted toys of the demo: a front of ``mmwsfs convert demo-shapes``."""

import sys

from mmwsfs.cli.convert import main

if __name__ == '__main__':
    main(['demo-shapes', *sys.argv[1:]])
