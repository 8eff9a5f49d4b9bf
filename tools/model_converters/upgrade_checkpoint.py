"""An older checkpoint brought up to date: a front of ``mmwsfs convert upgrade``."""

import sys

from mmwsfs.cli.convert import main

if __name__ == '__main__':
    main(['upgrade', *sys.argv[1:]])
