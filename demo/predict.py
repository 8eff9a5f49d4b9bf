"""The command ``mmwsfs predict``, from a checkout: see its ``--help``."""

from mmwsfs.cli.predict import main

if __name__ == '__main__':
    main()
