#!/usr/bin/env bash
# Two processes by srun against one, under a Slurm of one node that is set up here for
# the time being (Debian: slurm-wlm; as root): prints a line for each thing that holds,
# and ends with an error at the first that does not.
set -euo pipefail
cd "$(dirname "$0")"
for program in munged slurmctld slurmd srun; do
    command -v $program > /dev/null || { echo "slurm.sh needs $program" >&2; exit 1; }
done

folder=$(mktemp -d)
host=$(hostname -s)
end() {
    for file in slurmd slurmctld munged; do
        if [ -f "$folder/$file.pid" ]; then kill "$(cat "$folder/$file.pid")" || true; fi
    done
    sleep 1
    rm -rf "$folder"
}
trap end EXIT

(umask 077; head -c 1024 /dev/urandom > "$folder/munge.key")
mkdir "$folder/state" "$folder/spool"
free_port() {
    python -c "import socket; s = socket.socket(); s.bind(('', 0)); print(s.getsockname()[1])"
}
cat > "$folder/slurm.conf" <<EOF
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_res
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=check Nodes=$host Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$folder/slurm.conf

munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munge.seed"
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2> /dev/null | grep -q idle; then break; fi
    sleep 0.5
done
if ! sinfo --noheader --format=%T | grep -q idle; then
    tail -n 20 "$folder"/*.log >&2
    exit 1
fi

PYTHONPATH="../..:${PYTHONPATH:-}" python launcher_check.py slurm
