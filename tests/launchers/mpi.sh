#!/usr/bin/env bash
# Two processes by Open MPI's mpirun (Debian: openmpi-bin) against one: prints a line for
# each thing that holds, and ends with an error at the first that does not.
set -euo pipefail
cd "$(dirname "$0")"
command -v mpirun > /dev/null || { echo 'mpi.sh needs mpirun' >&2; exit 1; }
PYTHONPATH="../..:${PYTHONPATH:-}" python launcher_check.py mpi
