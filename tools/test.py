"""Test a checkpoint: a front of ``mmwsfs test``."""

from mmwsfs.cli.test import main

if __name__ == '__main__':
    main()
