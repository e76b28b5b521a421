#!/usr/bin/env bash
# The search for proposals as a Slurm job array: each task does its part of the shards, no task waits for another.
# A task that is killed or requeued goes on with the shards it lacks. Paths count from the folder that it is sent from;
# mmsoco is that of PYTHON, of .venv there, or of the environment that is active.
#
#   sbatch --array=0-63 tools/slurm_proposals.sh IMAGES OUT [options of mmsoco search]
#
#SBATCH --job-name=proposals
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
if (($# < 2)); then
    echo "usage: sbatch [--array=0-N] $0 IMAGES OUT [options of mmsoco search]" >&2
    exit 2
fi
: "${SLURM_ARRAY_TASK_ID:?this is a job array: send it with sbatch --array=0-N}"
# Slurm runs a copy of this file, which knows nothing of what lay beside it.
cd "${SLURM_SUBMIT_DIR:-.}"
python=${PYTHON:-.venv/bin/python}
[[ -x $python ]] || python=python
# What lies in that folder is not to be imported (Python 3.11 on).
export PYTHONSAFEPATH=1
exec "$python" -m mmsoco.cli search "$1" "$2" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "${@:3}"
