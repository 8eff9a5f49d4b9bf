"""Pascal-5i split lists: a front of ``mmwsfs convert pascal5i``."""

import sys

from mmwsfs.cli.convert import main

if __name__ == '__main__':
    main(['pascal5i', *sys.argv[1:]])
